"""Chooses the rows that the server is asked about."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
import pyarrow as pa

from components.entity_models.key import entity_keys
from components.entity_models.open import Models
from components.errors import BeamfleetError

_READ_ROWS = 100_000
_UNSEEN = 10


def sample_rows(
    batches: Iterable[pa.RecordBatch], models: Models, count: int
) -> tuple[pa.Table, int]:
    """Takes rows of as many entities as possible from the first 100,000 rows of a split.

    Where the store has a fallback, a tenth of the rows gets a key that no model was trained on.

    Returns:
      (count or fewer, entity columns + features), and how many of them have an unseen key; these
      come last.

    Raises:
      BeamfleetError: there are no rows, or columns are missing.
    """
    spec = models.spec
    columns = [*spec.entity_columns, *(name for name, _ in spec.features)]
    table = _first_rows(batches, columns)
    order = _entities_in_turn(entity_keys(table, spec.entity_columns))
    if not len(order):
        raise BeamfleetError(
            f"the examples have no rows with {', '.join(columns)} to ask the server about; ingest "
            "some, or name another split"
        )
    has_fallback = bool(spec.entity_columns) and models.fallback() is not None
    unseen = min(max(1, count // _UNSEEN), count - 1) if has_fallback else 0
    seen = table.take(order[: count - unseen])
    strangers = table.take(order[:unseen])
    for name in spec.entity_columns:
        place = strangers.schema.get_field_index(name)
        values = _strange_values(name, strangers.column(name).type, strangers.num_rows)
        strangers = strangers.set_column(place, name, values)
    return pa.concat_tables([seen, strangers]), strangers.num_rows


def _first_rows(batches: Iterable[pa.RecordBatch], columns: list[str]) -> pa.Table:
    kept: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        missing = [name for name in columns if name not in batch.schema.names]
        if missing:
            raise BeamfleetError(
                f"the examples lack {', '.join(missing)}, which the models need; they have "
                f"{', '.join(batch.schema.names)}"
            )
        kept.append(batch.select(columns))
        rows += batch.num_rows
        if rows >= _READ_ROWS:
            break
    if not kept:
        raise BeamfleetError("the examples have no rows to ask the server about; ingest some")
    return pa.Table.from_batches(kept).slice(0, _READ_ROWS)


def _entities_in_turn(keys: pa.Array) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Row numbers: first the first row of each entity, then the second of each, and so on."""
    names = pd.Series(keys.to_pandas())
    turn = names.groupby(names, dropna=True).cumcount().reindex(names.index)
    known = names.notna()
    return np.asarray(turn[known].sort_values(kind="stable").index, dtype=np.int64)


def _strange_values(name: str, kind: pa.DataType, count: int) -> pa.Array:
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return pa.array([f"no such {name} {i}" for i in range(count)], kind)
    return pa.array([-(2**52) - i for i in range(count)], pa.int64()).cast(kind)
