"""Chooses the files of a model that are weights and settings, and refuses what could run code."""

import json
import logging
import os
from collections.abc import Iterator, Sequence, Set
from pathlib import Path
from typing import Any

from components.errors import BeamfleetError

LOG = logging.getLogger(__name__)

_WEIGHTS = (".safetensors", ".onnx", ".ubj")
_TEXTS = (".json", ".txt")
_OTHER_WEIGHTS = (
    ".bin", ".pt", ".pth", ".pkl", ".pickle", ".joblib", ".ckpt", ".h5", ".keras", ".msgpack",
)  # fmt: skip
_MOST_TEXT_BYTES = 1 << 30
_NAMED = 5


def weight_files(folder: Path) -> tuple[str, ...]:
    """Names of the files that make up a model, relative to its folder, sorted.

    Weights (safetensors, ONNX, XGBoost's UBJSON) and texts (settings, tokenizers) are taken. Other
    weights, huge texts and what is no file are not, and the log says so; the rest (pictures, notes,
    hidden files) is passed over.

    Raises:
      BeamfleetError: there are no weights, only weights that run code when they are loaded, code, a
        link out of the folder, or something broken.
    """
    root = _root(folder)
    taken: list[str] = []
    left: list[str] = []
    for path in _files(folder):
        name = path.relative_to(folder).as_posix()
        (taken if _belongs(path, root) else left).append(name)
    _check_enough(folder, taken, left)
    for name in taken:
        _check_content(folder, name, taken)
    if odd := [name for name in left if name.lower().endswith(_WEIGHTS + _TEXTS + _OTHER_WEIGHTS)]:
        LOG.warning("%s: not taken: %s", folder, _some(odd))
    return tuple(sorted(taken))


def _root(folder: Path) -> Path:
    """The folder that links must stay in; in the hub's cache, blobs lie beside the snapshots."""
    real = folder.resolve()
    in_cache = real.parent.name == "snapshots" and real.parents[1].name.startswith("models--")
    return real.parents[1] if in_cache else real


def _files(folder: Path) -> Iterator[Path]:
    for path, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        links = [name for name in folders if Path(path, name).is_symlink()]  # os.walk stays out
        yield from (Path(path, name) for name in (*links, *files) if not name.startswith("."))


def _belongs(path: Path, root: Path) -> bool:
    suffix = path.suffix.lower()
    if suffix == ".py":
        raise BeamfleetError(
            f"{path} is code, and weights are never run; use a model whose class is in the library "
            "that loads it, and take the file out of the folder"
        )
    if suffix not in (*_WEIGHTS, *_TEXTS) or "\\" in path.name or not path.name.isprintable():
        return False
    if path.is_symlink():
        _check_link(path, root)
    if not path.is_file():  # a folder, a pipe, a device
        return False
    return suffix in _WEIGHTS or path.stat().st_size <= _MOST_TEXT_BYTES


def _check_link(path: Path, root: Path) -> None:
    target = path.resolve()
    if not target.exists():
        raise BeamfleetError(f"{path} links to {target}, which is not there; fetch the model again")
    if root not in target.parents:
        raise BeamfleetError(
            f"{path} links to {target}, outside of the folder; put the file itself into the folder"
        )


def _check_enough(folder: Path, taken: Sequence[str], left: Sequence[str]) -> None:
    others = [name for name in left if name.lower().endswith(_OTHER_WEIGHTS)]
    if others and not any(name.lower().endswith(_WEIGHTS) for name in taken):
        raise BeamfleetError(
            f"{folder} has its weights only as {_some(others)}, which may run code when they are "
            "loaded; safetensors are expected: where you trust them, load them and call "
            "save_pretrained, or name a revision that has model.safetensors"
        )
    if not taken:
        raise BeamfleetError(
            f"{folder} holds no weights: {', '.join((*_WEIGHTS, *_TEXTS))} files expected"
        )


def _check_content(folder: Path, name: str, taken: Sequence[str]) -> None:
    path = folder / name
    if name.endswith(".safetensors"):
        _check_header(path)
    elif name.endswith(".safetensors.index.json"):
        beside = {Path(one).name for one in taken if (folder / one).parent == path.parent}
        _check_shards(path, beside)
    elif name.endswith("config.json") and _mentions_code(_read_json(path)):
        raise BeamfleetError(
            f"{path} names code of its own (auto_map), which is never run; use a model whose class "
            "is in the library that loads it"
        )


def _check_header(path: Path) -> None:
    """The first 8 bytes say how long the JSON header is that follows them."""
    with path.open("rb") as file:
        start = file.read(9)
    length = int.from_bytes(start[:8], "little")
    if len(start) < 9 or start[8:] != b"{" or length > path.stat().st_size - 8:
        hint = "a Git LFS pointer, run `git lfs pull`" if start == b"version h" else "broken"
        raise BeamfleetError(f"{path} is not a whole safetensors file ({hint}); fetch it again")


def _check_shards(path: Path, taken: Set[str]) -> None:
    """Each shard must be among the files beside the index: others would not go with the model."""
    index = _read_json(path)
    shards = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(shards, dict):
        raise BeamfleetError(f"{path} has no weight_map; fetch the model again")
    names = sorted({str(name) for name in shards.values()})
    if missing := [name for name in names if name not in taken]:
        raise BeamfleetError(
            f"{path.parent} lacks {_some(missing)} of the weights; fetch the model again"
        )


def _mentions_code(content: Any) -> bool:
    if isinstance(content, dict):
        return "auto_map" in content or any(map(_mentions_code, content.values()))
    return isinstance(content, list) and any(map(_mentions_code, content))


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise BeamfleetError(f"{path} is not JSON: {error}; fetch the model again") from None


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(n if n.isprintable() else repr(n) for n in sorted(names)[:_NAMED]) + more
