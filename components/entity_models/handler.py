"""Entity models behind Beam's RunInference."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import pandas as pd
import pyarrow as pa
from apache_beam.ml.inference.base import ModelHandler, PredictionResult, RunInference

from components.entity_models.key import entity_keys
from components.entity_models.open import Models, open_models
from components.entity_models.predict import predict
from components.errors import BeamfleetError


class EntityModelHandler(ModelHandler[pa.Table, PredictionResult, Models]):
    """Predicts tables of many rows, whatever their entities.

    The keys are data: nothing has to be declared before the pipeline runs.
    """

    def __init__(self, uri: str, *, only: str | None = None) -> None:
        """Takes the folder of a store; `only="fallback"` has the fallback predict every row."""
        super().__init__()
        self._uri = uri
        self._only = only

    def load_model(self) -> Models:
        return open_models(self._uri)

    def run_inference(
        self,
        batch: Sequence[pa.Table],
        model: Models,
        inference_args: Mapping[str, Any] | None = None,
    ) -> Iterator[PredictionResult]:
        """Gives one prediction table for each input table.

        Raises:
          BeamfleetError: a table lacks a column, or the store was changed.
        """
        for table in batch:
            yield PredictionResult(table, predict(model, table, only=self._only), self._uri)

    def get_num_bytes(self, batch: Sequence[pa.Table]) -> int:
        return sum(table.nbytes for table in batch)

    def batch_elements_kwargs(self) -> Mapping[str, Any]:
        return {"min_batch_size": 1, "max_batch_size": 1}  # a table is a batch already

    def get_metrics_namespace(self) -> str:
        return "beamfleet_entity_models"


class PredictTable(beam.PTransform):
    """Predicts tables or record batches; rows of one entity meet first.

    Gives (input table, prediction table) pairs: the rows of the input in another order and
    grouping, each pair aligned row by row. Fails when rows come out that did not go in, or fewer.
    """

    def __init__(
        self, uri: str, entity_columns: Sequence[str], shards: int = 64, max_rows: int = 200_000
    ) -> None:
        """Sets how rows are grouped.

        Args:
          uri: folder of the store.
          entity_columns: `spec.entity_columns` of the store; without any the rows stay where
            they are.
          shards: groups by hash of the entity; one group is in memory at a time.
          max_rows: a larger group is predicted in several tables.
        """
        super().__init__()
        self._uri = uri
        self._entity_columns = tuple(entity_columns)
        self._shards = shards
        self._max_rows = max_rows

    def expand(self, tables: beam.PCollection) -> beam.PCollection:
        pairs = (
            (
                self._meet(tables)
                if self._entity_columns
                else tables | "AsTables" >> beam.Map(_table)
            )
            | "RunInference" >> RunInference(EntityModelHandler(self._uri))
            | "PairUp" >> beam.Map(lambda result: (result.example, result.inference))
        )
        counts = (
            tables | "CountIn" >> beam.Map(lambda table: table.num_rows),
            pairs | "CountOut" >> beam.Map(lambda pair: -pair[1].num_rows),
        ) | "FlattenCounts" >> beam.Flatten()
        _ = counts | "SumCounts" >> beam.CombineGlobally(sum) | "CheckCounts" >> beam.Map(_balance)
        return pairs

    def _meet(self, tables: beam.PCollection) -> beam.PCollection:
        return (
            tables
            | "SplitByEntity" >> beam.FlatMap(_split, self._entity_columns, self._shards)
            | "GroupByShard" >> beam.GroupByKey()
            | "JoinShard" >> beam.FlatMap(_join, self._max_rows)
        )


def _table(table: pa.Table | pa.RecordBatch) -> pa.Table:
    return pa.Table.from_batches([table]) if isinstance(table, pa.RecordBatch) else table


def _split(
    table: pa.Table | pa.RecordBatch, entity_columns: Sequence[str], shards: int
) -> Iterator[tuple[int, bytes]]:
    """Cuts a table into one piece for each shard of the entity's hash."""
    table = _table(table)
    keys = entity_keys(table, entity_columns).dictionary_encode()
    hashes = pd.util.hash_array(keys.dictionary.to_numpy(zero_copy_only=False)) % shards
    by_code = np.append(hashes, 0)  # rows without a key go to shard 0
    numbers = by_code[keys.indices.fill_null(len(by_code) - 1).to_numpy(zero_copy_only=False)]
    order = np.argsort(numbers, kind="stable")
    table = table.take(order)
    present, starts = np.unique(numbers[order], return_index=True)
    for shard, start, stop in zip(present, starts, [*starts[1:], len(order)], strict=True):
        yield int(shard), _to_bytes(table.slice(start, stop - start))


def _join(group: tuple[int, Iterable[bytes]], max_rows: int) -> Iterator[pa.Table]:
    waiting: list[pa.Table] = []
    rows = 0
    for piece in group[1]:
        table = pa.ipc.open_stream(piece).read_all()
        if waiting and rows + table.num_rows > max_rows:
            yield pa.concat_tables(waiting, promote_options="permissive")
            waiting, rows = [], 0
        waiting.append(table)
        rows += table.num_rows
    yield pa.concat_tables(waiting, promote_options="permissive")


def _to_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def _balance(difference: int) -> None:
    if difference:
        raise BeamfleetError(
            f"{abs(difference)} rows {'lost' if difference > 0 else 'too many'} in inference"
        )
