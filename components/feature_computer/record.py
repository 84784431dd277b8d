"""What a store holds, and of what it was computed.

`computed.json` maps each view, as `card_spend/v3`, to what it was computed of and to its counts. It
is written behind the values: what it says is there was there.
"""

import json
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from components.features.view import FeatureView
from components.files import write_json, write_whole

FILE = "computed.json"


@dataclass(frozen=True)
class Made:
    """How a view came to be."""

    of: Mapping[str, str]
    """definition, data, as_of."""
    counts: Mapping[str, int]


def store_id(root: Path) -> str:
    """Random text that is made with the store: another one in its place has another."""
    path = root / ".id"
    if not path.exists():
        write_whole(str(path), uuid.uuid4().hex.encode())
    return path.read_text(encoding="utf-8")


def lost(root: Path) -> tuple[str, ...]:
    """Views that were computed and are not there any more."""
    return tuple(name for name in sorted(_read(root)) if not (root / "offline" / name).is_dir())


def made_of(root: Path, view: FeatureView) -> Made | None:
    """How the view came to be; None: it is not there."""
    known = _read(root).get(_place(view))
    return Made(**known) if known and (root / "offline" / _place(view)).is_dir() else None


def note(root: Path, view: FeatureView, made: Made) -> None:
    """Notes it, behind the values."""
    write_json(str(root / FILE), {**_read(root), _place(view): asdict(made)})


def forget(root: Path, view: FeatureView) -> None:
    """Says nothing of the view any more."""
    if _place(view) in (known := _read(root)):
        write_json(str(root / FILE), {k: v for k, v in known.items() if k != _place(view)})


def _place(view: FeatureView) -> str:
    """Where a view lies below `offline`."""
    return f"{view.name}/v{view.version}"


def _read(root: Path) -> dict[str, dict[str, Any]]:
    try:
        found: dict[str, dict[str, Any]] = json.loads((root / FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return found
