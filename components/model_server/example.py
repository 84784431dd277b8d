"""The command that calls a server, to be pasted into a shell."""

import json
from collections.abc import Sequence
from typing import Any

from components.model_server.requests import IMAGE

_FILE = "photo.jpg"


def example(url: str, inputs: Sequence[dict[str, Any]]) -> str:
    """Commands that send one image, or ask for the columns where more than an image is read.

    Args:
      url: of the model.
      inputs: tensors of the server's metadata, with their `name`.
    """
    if [tensor["name"] for tensor in inputs] != [IMAGE]:
        return f"curl -s {url}"
    image = {"name": IMAGE, "datatype": "BYTES", "shape": [1], "data": ["@"]}
    before, after = json.dumps({"inputs": [image]}).split("@")
    # By a file: an image is longer than an argument may be.
    return (
        f"(printf '{before}'; base64 -w 0 {_FILE}; printf '{after}') > request.json\n"
        f"curl -s {url}/infer -H 'Content-Type: application/json' -d @request.json"
    )
