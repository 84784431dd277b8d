"""Takes a proposed schema over into the reviewed file, and keeps who did it."""

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.curated_schema.changes import Change, as_text, schema_changes, with_changes
from components.curated_schema.text import edited, parse_schema
from components.errors import BeamfleetError
from components.files import write_whole

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0.schema_pb2 import Schema


@dataclass(frozen=True)
class Review:
    """Who takes a schema over, and what it comes from."""

    by: str
    why: str
    run: str
    root: str


def accept_schema(
    file: Path, sha256: str, proposed: "Schema", columns: Sequence[str] | None, review: Review
) -> list[Change]:
    """Writes the changes into the reviewed file; whole or not at all.

    Args:
      file: the schema in text form.
      sha256: of the file that the run read.
      proposed: by the run.
      columns: to take over; None: all that changed.
      review: who, why, and from which run.

    Returns:
      What was taken over.

    Raises:
      BeamfleetError: the file is missing or has changed since the run, a column is unknown, or
        nothing is proposed.
    """
    with _alone(file):
        content = _read(file)
        if hashlib.sha256(content).hexdigest() != sha256:
            raise BeamfleetError(
                f"{file} has changed since run {review.run} read it{_last(file)}: run the pipeline "
                "again, and accept what it proposes then"
            )
        before = parse_schema(content.decode(), str(file))
        after = with_changes(before, proposed, columns)
        changes = schema_changes(before, after)
        if not changes:
            raise BeamfleetError(f"run {review.run} proposes no change of {file}")
        text = edited(content.decode(), before, after).encode()
        _log(file, review, changes, text)
        write_whole(str(file), text)
    return changes


def create_schema(file: Path, schema: "Schema", review: Review) -> None:
    """Writes the first reviewed schema.

    Raises:
      BeamfleetError: the file is there already.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with _alone(file):
        if file.exists():
            raise BeamfleetError(
                f"{file} is there already: name another file, or use `beamfleet schema accept` for "
                "changes of a reviewed schema"
            )
        text = as_text(schema).encode()
        _log(file, review, schema_changes(type(schema)(), schema), text)
        write_whole(str(file), text)


def history_file(file: Path) -> Path:
    """JSON lines beside a schema: who took what over, when and why."""
    return file.with_name(f"{file.name}.history.jsonl")


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Two people who accept at the same time do so one after the other."""
    if not file.parent.is_dir():
        raise BeamfleetError(f"there is no folder {file.parent}")
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise BeamfleetError(f"schema {file} cannot be read: {error}") from None


def _log(file: Path, review: Review, changes: Sequence[Change], text: bytes) -> None:
    """Before the schema itself: a change without a name is worse than a name without a change."""
    entry: dict[str, Any] = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "by": review.by,
        "why": review.why,
        "run": review.run,
        "root": review.root,
        "sha256": hashlib.sha256(text).hexdigest(),
        "columns": {change.column: list(change.words) for change in changes},
    }
    with history_file(file).open("a", encoding="utf-8") as history:
        history.write(json.dumps(entry, ensure_ascii=False) + "\n")


def _last(file: Path) -> str:
    """Who took something over last."""
    try:
        last = json.loads(history_file(file).read_text(encoding="utf-8").splitlines()[-1])
        return f" (last accepted by {last['by']} at {last['time']}, of run {last['run']})"
    except (OSError, LookupError, ValueError):
        return ""  # nobody did, or the line is not whole
