"""`beamfleet schema`: shows, starts and changes the schema that people keep."""

import argparse
import getpass
import hashlib
import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from components.curated_schema.accept import Review, accept_schema, create_schema, history_file
from components.curated_schema.changes import described, schema_changes
from components.curated_schema.text import parse_schema
from components.errors import BeamfleetError
from components.example_validator.proposal import read_proposal
from components.example_validator.stopped import find_stopped
from pipelines.finding import find_run
from pipelines.metadata import Node, Run
from pipelines.render import shown

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0.schema_pb2 import Schema

_VALIDATOR = "ExampleValidator"


def main(arguments: argparse.Namespace) -> int:
    """Does one of the actions."""
    run = find_run(arguments.run, Path(arguments.root))
    return _ACTIONS[arguments.action](run, arguments)


def _show(run: Run, arguments: argparse.Namespace) -> int:
    from google.protobuf import json_format

    from components.curated_schema.changes import as_text

    schema = _schema_of(run)
    if arguments.json:
        print(json.dumps(json_format.MessageToDict(schema, preserving_proto_field_name=True)))
    else:
        print(shown(as_text(schema)), end="")
    return 0


def _init(run: Run, arguments: argparse.Namespace) -> int:
    file = Path(arguments.file).absolute()
    create_schema(file, _schema_of(run), _review(run, arguments))
    if arguments.json:
        print(json.dumps({"file": str(file), "run": run.run_id}))
    else:
        print(f"{file} has the schema of run {run.run_id}; look through it, and write")
        print(f"  .with_schema({arguments.file!r}) in place of .infer_schema()")
    return 0


def _diff(run: Run, arguments: argparse.Namespace) -> int:
    reviewed, sha256 = _reviewed(run)
    proposed = _proposed(run)
    changes = schema_changes(_schema_of(run), proposed) if proposed else []
    if arguments.json:
        document = {"run": run.run_id, "file": str(reviewed), "changed": _changed(reviewed, sha256)}
        print(json.dumps({**document, "columns": [asdict(change) for change in changes]}))
        return 0
    if not changes:
        print(f"run {run.run_id} proposes no change of {reviewed}")
        return 0
    print(f"run {run.run_id} proposes of {reviewed}:\n")
    print(shown(described(changes)))
    if _changed(reviewed, sha256):
        print(f"{reviewed} has changed since then: run the pipeline again to take anything over")
        return 0
    print(f"to take it over: beamfleet schema accept {run.run_id} --root {shlex.quote(run.root)}")
    return 0


def _changed(file: Path, sha256: str) -> bool:
    """Whether the reviewed file is another one than the run read."""
    return not file.exists() or hashlib.sha256(file.read_bytes()).hexdigest() != sha256


def _accept(run: Run, arguments: argparse.Namespace) -> int:
    reviewed, sha256 = _reviewed(run)
    proposed = _proposed(run)
    if proposed is None:
        raise BeamfleetError(f"run {run.run_id} proposes no change of {reviewed}")
    review = _review(run, arguments)
    changes = accept_schema(reviewed, sha256, proposed, arguments.column, review)
    history = history_file(reviewed)
    if arguments.json:
        document = {"file": str(reviewed), "history": str(history), "by": review.by}
        print(json.dumps({**document, "columns": {c.column: c.words for c in changes}}))
        return 0
    for change in changes:
        print(shown(f"column {change.column!r}: {'; '.join(change.words)}"))
    print(f"{reviewed} says so now; {history.name} keeps that {review.by} accepted it")
    return 0


def _review(run: Run, arguments: argparse.Namespace) -> Review:
    try:
        by = arguments.by or getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        raise BeamfleetError("this user has no name: say who reviewed it, with --by WHO") from None
    return Review(by, arguments.why, run.run_id, run.root)


def _schema_of(run: Run) -> "Schema":
    """The schema that the run used."""
    artifact = _schema_node(run).output("schema")
    [*files] = sorted(Path(artifact.uri).glob("*.pbtxt")) if artifact else []
    if not files:
        raise BeamfleetError(f"run {run.run_id} made no schema: its SchemaGen did not get that far")
    return parse_schema(files[0].read_text(encoding="utf-8"), str(files[0]))


def _schema_node(run: Run) -> Node:
    node = run.node("SchemaGen")
    if node is None:
        raise BeamfleetError(
            f"run {run.run_id} has no schema: add .infer_schema() or .with_schema(path)"
        )
    return node


def _reviewed(run: Run) -> tuple[Path, str]:
    """File of the reviewed schema, and the SHA-256 of what the run read."""
    parameters = _schema_node(run).parameters
    if not parameters.get("schema_file"):
        raise BeamfleetError(
            f"run {run.run_id} infers its schema anew each time; start one that people keep with "
            f"`beamfleet schema init schema.pbtxt {run.run_id} --root {shlex.quote(run.root)}`"
        )
    return Path(str(parameters["schema_file"])), str(parameters["sha256"])


def _proposed(run: Run) -> "Schema | None":
    """The schema that the run proposes; None: its data fit."""
    node = run.node(_VALIDATOR)
    if node is None:
        raise BeamfleetError(
            f"run {run.run_id} did not get to validating the examples: see beamfleet show "
            f"{run.run_id} --root {shlex.quote(run.root)}"
        )
    if artifact := node.output("anomalies"):
        return read_proposal(artifact.uri)
    uri, _ = find_stopped(Path(run.root, "artifacts", _VALIDATOR), run.run_id)
    return read_proposal(uri) if uri else None


_ACTIONS: Mapping[str, Callable[[Run, argparse.Namespace], int]] = {
    "show": _show,
    "init": _init,
    "diff": _diff,
    "accept": _accept,
}
