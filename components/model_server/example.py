"""The command that calls a server, to be pasted into a shell."""

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from components.model_server.requests import IMAGE

_FILE = "photo.jpg"
_PLACEHOLDERS: Mapping[str, object] = {"BYTES": "word", "INT64": 1, "FP64": 1.5, "BOOL": True}


def example(url: str, inputs: Sequence[dict[str, Any]]) -> str:
    """Commands that send one image, or one row with a value of each type in place of the real ones.

    Where an image is read with something else, the command asks for the columns.

    Args:
      url: of the model.
      inputs: tensors of the server's metadata, with their `name`.
    """
    names = [tensor["name"] for tensor in inputs]
    if IMAGE not in names:
        return _of_a_row(url, inputs)
    if names != [IMAGE]:
        return f"curl -s {url}"  # names what else it wants
    image = {"name": IMAGE, "datatype": "BYTES", "shape": [1], "data": ["@"]}
    before, after = json.dumps({"inputs": [image]}).split("@")
    # By a file: an image is longer than an argument may be.
    return (
        f"(printf '{before}'; base64 -w 0 {_FILE}; printf '{after}') > request.json\n"
        f"curl -s {url}/infer -H 'Content-Type: application/json' -d @request.json"
    )


def _of_a_row(url: str, inputs: Sequence[dict[str, Any]]) -> str:
    row = [
        {**tensor, "shape": [1], "data": [_PLACEHOLDERS[tensor["datatype"]]]} for tensor in inputs
    ]
    request = shlex.quote(json.dumps({"inputs": row}))  # names of columns are anybody's words
    return f"curl -s {url}/infer -H 'Content-Type: application/json' -d {request}"
