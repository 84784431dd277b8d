"""Turns Arrow columns into the DataFrame that models see, in training and in prediction."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from components.entity_models.spec import ModelSpec
from components.errors import BeamfleetError

_TYPES = {"string": pa.string(), "int64": pa.int64(), "double": pa.float64()}


def to_frame(table: pa.Table | pa.RecordBatch, spec: ModelSpec) -> pd.DataFrame:
    """Gives the features of all rows in the order of the spec.

    Returns:
      (rows, features): words as object (None where missing), int64 as int64 (float64 with NaN where
      one is missing), double as float64 (NaN where missing).

    Raises:
      BeamfleetError: a column is missing or its values do not fit the type in the spec.
    """
    missing = [name for name, _ in spec.features if name not in table.schema.names]
    if missing:
        raise BeamfleetError(
            f"columns {missing} are missing; the models were trained on "
            f"{[name for name, _ in spec.features]} and the table has {table.schema.names}"
        )
    columns = {name: _values(table.column(name), name, kind) for name, kind in spec.features}
    return pd.DataFrame(columns, index=pd.RangeIndex(table.num_rows))


def _values(column: pa.Array | pa.ChunkedArray, name: str, kind: str) -> np.ndarray[Any, Any]:
    if pa.types.is_dictionary(column.type) and kind == "string":
        return _words(column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column)
    is_word = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    if is_word != (kind == "string") and not pa.types.is_null(column.type):
        raise BeamfleetError(f"column {name!r} is {column.type}, the models expect {kind}")
    try:
        values = column.cast(_TYPES[kind]).to_pandas()
    except pa.ArrowInvalid as error:
        raise BeamfleetError(f"column {name!r} does not fit {kind}: {error}") from error
    return _none_for_missing(values) if kind == "string" else np.asarray(values)


def _words(column: pa.DictionaryArray) -> np.ndarray[Any, Any]:
    """One Python word for each distinct value."""
    distinct = [*column.dictionary.to_pylist(), None]
    codes = column.indices.fill_null(len(distinct) - 1).to_numpy()
    values: np.ndarray[Any, Any] = np.array(distinct, object)[codes]
    return values


def _none_for_missing(words: pd.Series) -> np.ndarray[Any, Any]:
    values: np.ndarray[Any, Any] = words.to_numpy(dtype=object)
    values[words.isna().to_numpy()] = None
    return values
