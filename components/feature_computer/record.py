"""What a store holds, and of what it was computed.

`computed.json` maps each view, as `card_spend/v3`, to the fingerprints of its definition and data
and to its point in time. It is written behind the values: what it says is there was there.
"""

import json
import uuid
from collections.abc import Mapping
from pathlib import Path

from components.features.view import FeatureView
from components.files import write_json, write_whole

FILE = "computed.json"
Made = Mapping[str, str]
"""definition, data, as_of."""


def place(view: FeatureView) -> str:
    """Where a view lies below `offline`."""
    return f"{view.name}/v{view.version}"


def store_id(root: Path) -> str:
    """Random text that is made with the store: another one in its place has another."""
    path = root / ".id"
    if not path.exists():
        write_whole(str(path), uuid.uuid4().hex.encode())
    return path.read_text(encoding="utf-8")


def lost(root: Path) -> tuple[str, ...]:
    """Views that were computed and are not there any more."""
    return tuple(name for name in sorted(_read(root)) if not (root / "offline" / name).is_dir())


def computed_of(root: Path, view: FeatureView) -> Made | None:
    """Of what the view was computed; None: it is not there."""
    made = _read(root).get(place(view))
    return made if made and (root / "offline" / place(view)).is_dir() else None


def note_computed(root: Path, view: FeatureView, made: Made) -> None:
    """Notes it, behind the values."""
    write_json(str(root / FILE), {**_read(root), place(view): dict(made)})


def note_begun(root: Path, view: FeatureView) -> None:
    """What is being computed anew is not what was noted."""
    if place(view) in (known := _read(root)):
        write_json(str(root / FILE), {k: v for k, v in known.items() if k != place(view)})


def _read(root: Path) -> dict[str, dict[str, str]]:
    try:
        found: dict[str, dict[str, str]] = json.loads((root / FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return found
