"""What the fits of the entity models cost, as the EntityTrainer writes it to costs.parquet."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.report.data.entities import display_name
from pipelines.report.source import Source


@dataclass(frozen=True)
class Fit:
    """One entity."""

    name: str
    rows: int
    seconds: float
    """CPU seconds."""


@dataclass(frozen=True)
class Costs:
    """All fits of one training."""

    fits: Sequence[Fit]
    """Of the entities, the dearest first."""
    fallback_seconds: float
    """Of the model of all rows."""
    unknown: int
    """Entities whose process died, so that nobody knows."""

    @property
    def seconds(self) -> float:
        """Of all entities."""
        return sum(fit.seconds for fit in self.fits)


def read_costs(source: Source) -> Costs | None:
    """The costs of the run's entity models; None: it has none, or they were not recorded yet."""
    import pyarrow.parquet as pq

    file = source.file("EntityTrainer", "model", "costs.parquet")
    if file is None:
        return None
    rows = pq.read_table(file).to_pylist()
    known = [row for row in rows if row["fit_cpu_seconds"] is not None]
    entities = [row for row in known if row["kind"] == "entity"]
    columns = source.summary.entity_columns
    fits = [
        Fit(display_name(row["entity"], columns), row["rows"], row["fit_cpu_seconds"])
        for row in sorted(entities, key=lambda row: -row["fit_cpu_seconds"])
    ]
    fallback = sum(row["fit_cpu_seconds"] for row in known if row["kind"] == "fallback")
    return Costs(fits, fallback, len(rows) - len(known))
