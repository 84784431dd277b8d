"""Entity keys of rows."""

import json
from collections.abc import Sequence
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.errors import BeamfleetError
from components.example_gen.column_types import Kind, convert

_SHOWN_CHARACTERS = 60


def entity_keys(table: pa.Table | pa.RecordBatch, columns: Sequence[str]) -> pa.Array:
    """Gives the entity key of each row.

    Returns:
      (rows,) string array: the value as text for one column, a JSON array of texts for several;
      null where any part is missing or an empty text. Without columns all rows have the key "".

    Raises:
      BeamfleetError: the table lacks a column.
    """
    missing = [name for name in columns if name not in table.schema.names]
    if missing:
        raise BeamfleetError(
            f"entity columns {list(columns)} expected, the table has {table.schema.names}"
        )
    if not columns:
        return pa.repeat(pa.scalar("", pa.string()), table.num_rows)
    texts = [_texts(table.column(name)) for name in columns]
    if len(texts) == 1:
        return texts[0]
    quoted = [_quoted(text) for text in texts]
    inner = pc.binary_join_element_wise(*quoted, ", ", null_handling="emit_null")
    return pc.binary_join_element_wise("[", inner, "]", "", null_handling="emit_null")


def typed_entity(column: pa.Array, name: str, kind: str) -> pa.Array:
    """Converts an entity column to the type that it had in training, by the rules of ingestion.

    "1.0", 1 and 1.0 are one entity in a column of numbers, and three in a column of words.

    Raises:
      BeamfleetError: a value does not fit; it names column and row.
    """
    typed, unfit = convert(column, cast(Kind, kind))
    if unfit is not None:
        row = int(np.flatnonzero(unfit)[0])
        raise BeamfleetError(
            f"row {row} of entity column {name!r} is "
            f"{repr(column[row].as_py())[:_SHOWN_CHARACTERS]}, the models were trained on {kind}"
        )
    return typed


def _texts(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):  # an empty table gives no chunk to combine
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_floating(array.type):
        array = pc.if_else(pc.is_nan(array), None, array)
    return _without_empty(array.cast(pa.string()))


def _without_empty(texts: pa.Array) -> pa.Array:
    """Empty texts become null. Not by `if_else`, which corrupts sliced strings (Arrow 18)."""
    empty = pc.equal(texts, "")
    if not pc.any(empty).as_py():
        return texts
    return texts.take(pc.if_else(empty, None, pa.array(np.arange(len(texts)))))


def _quoted(texts: pa.Array) -> pa.Array:
    """JSON strings; written once for each distinct value."""
    encoded = texts.dictionary_encode()
    words = [json.dumps(word, ensure_ascii=False) for word in encoded.dictionary.to_pylist()]
    return pa.array(words, pa.string()).take(encoded.indices)
