"""Metrics by slices, as the evaluators write them to slices.parquet, whatever metrics there are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_ENDS = ("_low", "_high")


@dataclass(frozen=True)
class Slice:
    """One slice."""

    name: str
    """Such as "company=A, hour=3"."""
    columns: tuple[str, ...]
    rows: int
    values: Mapping[str, float | None]
    """Column of the file -> value: `<metric>`, and `<model>_<metric>` of other models."""
    intervals: Mapping[str, tuple[float, float]]
    """Metric -> low and high, where there are any."""


@dataclass(frozen=True)
class Slices:
    """All slices of one evaluation."""

    metrics: tuple[str, ...]
    """Of the candidate, in the order of the file."""
    models: tuple[str, ...]
    """Others that were measured on the same rows, such as pushed."""
    slices: tuple[Slice, ...]

    @property
    def overall(self) -> Slice | None:
        """All rows."""
        return next((s for s in self.slices if not s.columns), None)

    def slicings(self) -> list[tuple[str, ...]]:
        """Columns that were sliced by."""
        return list(dict.fromkeys(s.columns for s in self.slices if s.columns))


def read_slices(file: Path, models: Sequence[str] = ("pushed", "blessed")) -> Slices:
    """Reads a slices.parquet.

    Args:
      file: with the columns slice, columns, rows (or rows_evaluated), and metrics.
      models: names that may stand before a metric.
    """
    import pyarrow.parquet as pq

    table = pq.read_table(file)
    numbers = [f.name for f in table.schema if str(f.type) in ("double", "float")]
    metrics, found = [], []
    for name in numbers:
        stem = name.rpartition("_")[0]
        if name.endswith(_ENDS) and stem in numbers:
            continue
        model = next((m for m in models if name.startswith(f"{m}_")), None)
        if model is None:
            metrics.append(name)
        elif model not in found:
            found.append(model)
    slices = tuple(_slice(row, numbers) for row in table.to_pylist())
    return Slices(tuple(metrics), tuple(found), slices)


def _slice(row: Mapping[str, Any], numbers: Sequence[str]) -> Slice:
    intervals = {
        name: (row[f"{name}_low"], row[f"{name}_high"])
        for name in numbers
        if row.get(f"{name}_low") is not None and row.get(f"{name}_high") is not None
    }
    rows = row.get("rows", row.get("rows_evaluated")) or 0
    return Slice(
        row["slice"], tuple(row["columns"]), int(rows), {n: row[n] for n in numbers}, intervals
    )
