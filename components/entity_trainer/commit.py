"""Counts what was trained, and makes the store visible."""

from collections.abc import Iterable

import pyarrow as pa

from components.entity_models.layout import COSTS, path_of
from components.entity_models.spec import ModelSpec
from components.entity_models.store import IndexEntry, commit
from components.entity_trainer.config import TrainConfig
from components.entity_trainer.fit import Fit
from components.entity_trainer.rows import Summary
from components.errors import BeamfleetError
from components.files import write_parquet

Result = tuple[IndexEntry, Fit]
COSTS_SCHEMA = pa.schema(
    [
        ("kind", pa.string()),
        ("entity", pa.string()),
        ("rows", pa.int64()),
        ("fit_cpu_seconds", pa.float64()),
    ]
)
_NAMED = 5


def index_entry(fit: Fit) -> IndexEntry:
    """The row of the index, without its place; rows + rows_dropped = all rows of the entity."""
    return IndexEntry(
        kind="entity" if fit.entity else "fallback",
        entity=fit.entity,
        status=fit.status,
        rows=fit.rows,
        rows_dropped=fit.rows_dropped + fit.rows_sampled_out + fit.rows_without_label,
        reason=fit.reason,
        fingerprint=fit.fingerprint,
        framework=fit.framework,
    )


def commit_models(
    uri: str, config: TrainConfig, spec: ModelSpec, results: Iterable[Result], total: Summary
) -> dict[str, int]:
    """Writes costs, index and manifest once every row is accounted for.

    Returns:
      The counts of the manifest: rows_in is the sum of all other `rows_*`; fallback_rows, on which
      the fallback was trained, are counted among them already.

    Raises:
      BeamfleetError: more entities failed than `max_failed_share`.
    """
    results = list(results)
    counts = _counts([fit for _, fit in results], total)
    _check_failures([fit for _, fit in results if fit.status == "failed"], counts, config)
    write_parquet(path_of(uri, COSTS), _costs(results))
    commit(uri, spec, [entry for entry, _ in results], counts)
    return counts


def _costs(results: list[Result]) -> pa.Table:
    """One row a fit, as the index is sorted; without seconds where the process died of it."""
    rows = [
        {
            "kind": entry.kind,
            "entity": fit.entity,
            "rows": fit.rows,
            "fit_cpu_seconds": fit.cpu_seconds,
        }
        for entry, fit in sorted(results, key=lambda result: (result[0].kind, result[0].entity))
        if fit.status != "small"
    ]
    return pa.Table.from_pylist(rows, schema=COSTS_SCHEMA)


def _counts(fits: list[Fit], total: Summary) -> dict[str, int]:
    entities = [fit for fit in fits if fit.entity]
    counts = {"rows_in": total.rows_in, "rows_without_entity": total.rows_without_entity}
    for name in ("rows_without_label", "rows_dropped", "rows_sampled_out"):
        counts[name] = sum(getattr(fit, name) for fit in entities)
    for status in ("trained", "small", "failed"):
        chosen = [fit for fit in entities if fit.status == status]
        counts[f"rows_{status}"] = sum(fit.rows for fit in chosen)
        counts[f"entities_{status}"] = len(chosen)
    accounted = sum(n for name, n in counts.items() if name.startswith("rows_")) - total.rows_in
    if accounted != total.rows_in:
        raise RuntimeError(f"{total.rows_in} rows came in, {accounted} are accounted for: {counts}")
    counts["entities"] = len(entities)
    counts["fallback_rows"] = sum(fit.rows for fit in fits if not fit.entity)
    return counts


def _check_failures(failures: list[Fit], counts: dict[str, int], config: TrainConfig) -> None:
    attempted = counts["entities_trained"] + len(failures)
    if not failures or len(failures) <= config.max_failed_share * attempted:
        return
    worst = sorted(failures, key=lambda fit: (-fit.rows, fit.entity))[:_NAMED]
    named = "; ".join(f"{fit.entity!r} ({fit.rows} rows): {fit.reason}" for fit in worst)
    raise BeamfleetError(
        f"training failed for {len(failures)} of {attempted} entities, more than max_failed_share "
        f"{config.max_failed_share}; largest: {named}"
    )
