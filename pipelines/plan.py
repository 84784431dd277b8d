"""What decides whether a run is served from the cache, kept so that it can be asked without TFX.

TFX's driver looks a node up by a key: SHA-256 over the compiled node, the artifacts that it reads
and its parameters. A successful run leaves the parts of these keys that the pipeline fixes (its
plan), with a digest of all that the plan depends on.
"""

import base64
import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

from components.errors import BeamfleetError
from components.files import write_json
from components.user_function import own_fingerprint, source_fingerprint
from pipelines.pipeline import Pipeline

FILE = "plan.json"
_HERE = Path(__file__).parent
_LIBRARIES = ("ml-metadata", "protobuf")
"""Beside those of `own_fingerprint`."""
_LONGEST_PATH = 4096


@dataclass(frozen=True)
class NodePlan:
    """What the pipeline fixes of one node's cache key, and what TFX registers of it."""

    name: str
    compiled: bytes
    """Pipeline, node and executor, as TFX hashes them."""
    inputs: Mapping[str, tuple[str, str]]
    """Key -> the node that gives it, and its output."""
    outputs: Mapping[str, bytes]
    """Key -> the empty artifact, as TFX hashes it."""
    parameters: Mapping[str, str]
    """Those that no driver sets, as text."""
    driver: str
    """Class path; empty: none."""
    execution: bytes
    """ML Metadata's Execution, as it is registered."""
    contexts: tuple[bytes, ...]
    """ML Metadata's contexts but for the cache's: pipeline, run, node."""


def save(root: Path, digest: str, nodes: tuple[NodePlan, ...]) -> None:
    """Keeps the plan of the run that has just succeeded."""
    document = json.loads(json.dumps([asdict(node) for node in nodes], default=_text))
    write_json(str(root / FILE), {"digest": digest, "nodes": document})


def load(root: Path, digest: str) -> tuple[NodePlan, ...]:
    """The plan of the last successful run if it has this digest; () otherwise."""
    try:
        document = json.loads((root / FILE).read_text(encoding="utf-8"))
        if document["digest"] != digest:
            return ()
        return tuple(map(_node, document["nodes"]))
    except (OSError, ValueError, KeyError, TypeError):
        return ()  # none, or of another release


def digest_of(pipeline: Pipeline) -> str:
    """SHA-256 over all that the plan depends on; empty where something cannot be told.

    That is the recorded steps, the files and functions that they name, the code of Beamfleet and
    the versions of what it runs on.
    """
    digest = hashlib.sha256()
    try:
        for line in (*_surroundings(), *_told(pipeline)):
            digest.update(f"{line}\n".encode())
    except (BeamfleetError, OSError, _UnknownError):
        return ""
    return digest.hexdigest()


class _UnknownError(Exception):
    """A value whose text does not say all of it."""


def _surroundings() -> Iterator[str]:
    yield platform.python_version()
    yield own_fingerprint()
    for library in _LIBRARIES:
        yield f"{library} {importlib.metadata.version(library)}"
    for path in sorted(_HERE.rglob("*.py")):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        yield f"{path.relative_to(_HERE).as_posix()}:{content}"


def _told(pipeline: Pipeline) -> Iterator[str]:
    for name, value in vars(pipeline).items():
        yield from _of(name, value)


def _of(name: str, value: Any) -> Iterator[str]:
    """The value as lines. What is not plain data could change without its text doing so."""
    if is_dataclass(value) and not isinstance(value, type):
        yield f"{name}: {type(value).__name__}"
        for field in fields(value):
            yield from _of(f"{name}.{field.name}", getattr(value, field.name))
    elif isinstance(value, Mapping):
        yield f"{name}: {len(value)}"
        for key, item in value.items():
            yield from _of(f"{name}[{key!r}]", item)
    elif isinstance(value, list | tuple):
        yield f"{name}: {type(value).__name__} of {len(value)}"
        for number, item in enumerate(value):
            yield from _of(f"{name}[{number}]", item)
    elif isinstance(value, Path):
        yield f"{name} = {str(value)!r}"
    elif type(value) in _PLAIN:
        yield f"{name} = {value!r}{_outside(name, value)}"
    else:
        raise _UnknownError(name)


_PLAIN = (str, int, float, bool, type(None))


def _outside(name: str, value: Any) -> str:
    """What a text stands for: a user's function, or the content of a file."""
    if not isinstance(value, str) or not value:
        return ""
    field = name.rpartition(".")[2]
    if field.endswith("_fn") or field in ("clean", "features"):
        return f" {source_fingerprint(value)}"
    if len(value) > _LONGEST_PATH or "\0" in value or not Path(value).is_file():
        return ""
    stat = Path(value).stat()
    return f" {stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns} {stat.st_ino}"


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _node(document: Mapping[str, Any]) -> NodePlan:
    return NodePlan(
        name=document["name"],
        compiled=base64.b64decode(document["compiled"]),
        inputs={key: (node, output) for key, (node, output) in document["inputs"].items()},
        outputs={key: base64.b64decode(text) for key, text in document["outputs"].items()},
        parameters=dict(document["parameters"]),
        driver=document["driver"],
        execution=base64.b64decode(document["execution"]),
        contexts=tuple(map(base64.b64decode, document["contexts"])),
    )
