"""What a stream has said, as Parquet parts: one a batch, numbered."""

import io
from pathlib import Path

import polars as pl

from components.errors import BeamfleetError
from components.features.view import FeatureView
from components.files import write_whole

CHANGES, LATE, REJECTED = "changes", "late", "rejected"
KINDS = (CHANGES, LATE, REJECTED)
_PART = "__part__"


def stream_folder(view: FeatureView, root: Path) -> Path:
    """Where the parts of a view lie."""
    return root / "stream" / view.name / f"v{view.version}"


def write_part(view: FeatureView, root: Path, batch: int, kind: str, rows: pl.DataFrame) -> None:
    """Writes a part; over the same part, if it is there."""
    buffer = io.BytesIO()
    rows.write_parquet(buffer)
    write_whole(str(stream_folder(view, root) / f"{kind}-{batch:010}.parquet"), buffer.getvalue())


def read_stream_log(view: FeatureView, root: Path) -> pl.LazyFrame:
    """The change log as the stream has said it: of each key and valid_from what it said last.

    Returns:
      keys, valid_from, created, features; in the order of (keys, valid_from).

    Raises:
      BeamfleetError: it has said nothing yet.
    """
    place = [*view.keys, "valid_from"]
    parts = pl.scan_parquet(_parts(view, root, CHANGES), include_file_paths=_PART)
    last = parts.sort(*place, _PART).unique(place, keep="last", maintain_order=True)
    return last.drop(_PART)


def read_late(view: FeatureView, root: Path) -> pl.DataFrame:
    """The keyed events that came too late to be counted, in the order of their arrival.

    Raises:
      BeamfleetError: there are none.
    """
    parts = [pl.read_parquet(part) for part in _parts(view, root, LATE)]
    return pl.concat(parts, how="diagonal_relaxed")


def read_rejected(view: FeatureView, root: Path) -> pl.DataFrame:
    """The lines that could not be read: source, file, byte, line and reason.

    Raises:
      BeamfleetError: there are none.
    """
    return pl.concat(pl.read_parquet(part) for part in _parts(view, root, REJECTED))


def _parts(view: FeatureView, root: Path, kind: str) -> list[Path]:
    folder = stream_folder(view, root)
    parts = sorted(folder.glob(f"{kind}-*.parquet"))
    if not parts:
        raise BeamfleetError(
            f"view {view.name!r} version {view.version} has no {kind} of a stream in {folder}; run "
            "`beamfleet features stream` first"
        )
    return parts
