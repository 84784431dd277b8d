"""What a validator that stopped its run found: TFX removes the outputs of a node that fails."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.files import open_file, write_json, write_whole

_DOCUMENT = "stopped.json"


def keep_stopped(uri: str, run: str, found: Mapping[str, Any]) -> str:
    """Copies the artifact beside the folder of those that are published.

    Args:
      uri: `<node>/anomalies/<number>`.
      run: name of the run.
      found: custom properties of the artifact.

    Returns:
      `<node>/stopped/<number>`.
    """
    from apache_beam.io.filesystems import FileSystems

    node, _, number = uri.rsplit("/", 2)
    folder = f"{node}/stopped/{number}"
    [match] = FileSystems.match([f"{uri}/**"])
    for file in match.metadata_list:
        with open_file(file.path) as source:
            write_whole(f"{folder}{file.path.removeprefix(uri)}", source.read())
    write_json(f"{folder}/{_DOCUMENT}", {**found, "run": run})
    return folder


def find_stopped(node: Path, run: str) -> tuple[str, Mapping[str, Any]]:
    """Folder and custom properties of what a run found before it was stopped.

    Args:
      node: folder of the node's artifacts, on this machine.
      run: name of the run.

    Returns:
      Empty ones if it was not stopped by what it found.
    """
    for file in sorted((node / "stopped").glob(f"*/{_DOCUMENT}")):
        document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if document.pop("run") == run:
            return str(file.parent), document
    return "", {}
