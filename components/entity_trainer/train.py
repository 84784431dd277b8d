"""Trains one model per entity on Beam and writes them as one store."""

import hashlib
import inspect
import os
import pickle
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from components.entity_models.spec import ModelSpec
from components.entity_models.store import ShardWriter
from components.entity_trainer.columns import TrainingColumns
from components.entity_trainer.commit import Result, commit_models, index_entry
from components.entity_trainer.config import TrainConfig
from components.entity_trainer.fit import Fit, Fitting, Shard
from components.entity_trainer.pool import FitPool, warm_up
from components.entity_trainer.rows import FALLBACK_SHARD, RowSharder, Summary
from components.errors import BeamfleetError
from components.user_function import load_function

_MAX_SHARDS = 64
_ROWS_PER_SHARD = 1_000
_MODEL = "model"
_IN_PROCESS = ("FnApiRunner", "DirectRunner", "BundleBasedDirectRunner")


def shards_for(rows: int) -> int:
    """Shards of a store, the last of them for the fallback; 0 rows: their number is not known."""
    if not rows:
        return _MAX_SHARDS
    return min(_MAX_SHARDS, 2 + rows // _ROWS_PER_SHARD)


def workers_for(options: PipelineOptions) -> int:
    """Processes for each Beam worker: all cores in this process, 1 where a cluster has its own."""
    runner = (options.view_as(StandardOptions).runner or _IN_PROCESS[0]).rpartition(".")[2]
    return usable_cores() if runner in _IN_PROCESS else 1


def usable_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class TrainEntities(beam.PTransform):
    """PCollection[pa.RecordBatch] of plain columns -> a store of entity models, committed last.

    The result is a PCollection of one dictionary, the counts in the store's manifest. The bytes of
    the store depend on rows, code, hyper-parameters and `shards` only: not on files, batches,
    workers or the runner.

    Raises (when the pipeline runs):
      BeamfleetError: no usable rows, a column that does not fit the schema, a failed fallback, or
        more failed entities than `max_failed_share`.
    """

    def __init__(
        self,
        uri: str,
        config: TrainConfig,
        columns: TrainingColumns,
        shards: int = _MAX_SHARDS,
        workers: int | None = None,
    ) -> None:
        """Makes the transform.

        Args:
          uri: new folder of the store, on any Beam filesystem.
          config: what to train and how.
          columns: types of the columns, out of the schema.
          shards: files of the store, >= 2; see `shards_for`.
          workers: processes that each Beam worker fits with. The cores for a runner in this
            process (the default), 1 where the runner itself starts a worker for each core.
        """
        super().__init__()
        self._uri = uri
        self._config = config
        self._columns = columns
        self._shards = shards
        self._workers = workers or usable_cores()
        train_fn = load_function(config.train_fn)
        self._wants_parent = "parent" in inspect.signature(train_fn).parameters

    def expand(self, batches: beam.PCollection) -> beam.PCollection:
        prepared = batches | "ShardRows" >> beam.ParDo(
            _ShardRows(self._config, self._columns, self._shards - 1)
        ).with_outputs("summary", main="chunks")
        # A list (one summary a batch), not a CombineGlobally: that costs two more stages.
        summaries = beam.pvalue.AsList(prepared.summary)
        groups = prepared.chunks | "GroupRows" >> beam.GroupByKey()
        fits = self._fit(groups, summaries)
        return (
            batches.pipeline
            | "StartCommit" >> beam.Create([None])
            | "CommitModels"
            >> beam.Map(
                lambda _, summaries, shards: commit_models(
                    self._uri,
                    self._config,
                    plan_models(self._config, self._columns, summaries),
                    _results(shards),
                    sum(summaries, Summary()),
                ),
                summaries,
                beam.pvalue.AsList(fits),
            )
        )

    def _fit(self, groups: beam.PCollection, summaries: Any) -> beam.PCollection:
        fit_shards = _FitShards(self._uri, self._config, self._columns, self._shards, self._workers)
        if not self._wants_parent:
            return groups | "FitModels" >> beam.ParDo(fit_shards, summaries)
        fallback = (
            groups
            | "TakeFallbackRows" >> beam.Filter(lambda group: group[0] == FALLBACK_SHARD)
            | "FitFallback" >> beam.ParDo(fit_shards, summaries).with_outputs(_MODEL, main="fits")
        )
        entities = (
            groups
            | "TakeEntityRows" >> beam.Filter(lambda group: group[0] != FALLBACK_SHARD)
            | "FitModels"
            >> beam.ParDo(fit_shards, summaries, beam.pvalue.AsSingleton(fallback[_MODEL]))
        )
        return (fallback.fits, entities) | "AllModels" >> beam.Flatten()


@beam.typehints.with_output_types(tuple[int, tuple[bytes, bytes]])
class _ShardRows(beam.DoFn):
    """RecordBatch -> (shard, (rows, tally)) as Arrow IPC; tagged `summary`: Summary."""

    def __init__(self, config: TrainConfig, columns: TrainingColumns, shards: int) -> None:
        self._config = config
        self._columns = columns
        self._shards = shards

    def setup(self) -> None:
        warm_up(self._config.train_fn)  # imports while we read

    def start_bundle(self) -> None:
        self._sharder = RowSharder(
            self._columns,
            self._config.missing == "drop",
            self._shards,
            self._config.max_rows,
            self._config.max_fallback_rows,
        )

    def process(self, batch: pa.RecordBatch) -> Iterator[Any]:
        chunks, summary = self._sharder.split(batch)
        yield beam.pvalue.TaggedOutput("summary", summary)
        for chunk in chunks:
            yield chunk.shard, (_stream(chunk.rows), _stream(chunk.tally))


class _FitShards(beam.DoFn):
    """(shard, its chunks) -> its list of Results, pickled; tagged `model`: the fallback.

    Shards are fitted while the next ones come in; `finish_bundle` waits for the last.
    """

    def __init__(
        self, uri: str, config: TrainConfig, columns: TrainingColumns, shards: int, workers: int
    ) -> None:
        self._uri = uri
        self._config = config
        self._columns = columns
        self._shards = shards
        self._workers = workers

    def setup(self) -> None:
        self._pool = FitPool(self._workers, self._config.train_fn)
        self._fitting: Fitting | None = None

    def teardown(self) -> None:
        self._pool.close()

    def start_bundle(self) -> None:
        self._waiting: deque[tuple[int, Future[list[Fit]]]] = deque()

    def process(
        self,
        group: tuple[int, Iterable[tuple[bytes, bytes]]],
        summaries: Sequence[Summary],
        parent: tuple[str, bytes] | None = None,
    ) -> Iterator[Any]:
        shard, chunks = group
        if self._fitting is None:
            spec = plan_models(self._config, self._columns, summaries)
            self._fitting = _fitting(self._config, spec, parent)
        rows, tallies = zip(*chunks, strict=True)
        job = Shard(rows, tallies, fallback=shard == FALLBACK_SHARD)
        self._waiting.append((shard, self._pool.submit(self._fitting, job)))
        while len(self._waiting) > 2 * self._workers:  # bounds the rows that wait in memory
            yield from self._write_oldest()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        window = GlobalWindow()
        while self._waiting:
            for result in self._write_oldest():
                if isinstance(result, beam.pvalue.TaggedOutput):
                    value = WindowedValue(result.value, window.max_timestamp(), [window])
                    yield beam.pvalue.TaggedOutput(result.tag, value)
                else:
                    yield WindowedValue(result, window.max_timestamp(), [window])

    def _write_oldest(self) -> Iterator[bytes | beam.pvalue.TaggedOutput]:
        shard, future = self._waiting.popleft()
        fits = future.result()
        if shard == FALLBACK_SHARD:
            [fallback] = fits
            if fallback.status != "trained":
                raise BeamfleetError(
                    "train_fn failed on the rows of all entities, which the model for small and "
                    f"unseen ones is trained on: {fallback.reason}"
                )
            yield beam.pvalue.TaggedOutput(_MODEL, (fallback.framework, fallback.payload))
        place = self._shards - 1 if shard == FALLBACK_SHARD else shard
        writer = ShardWriter(self._uri, place, self._shards)
        for fit in fits:
            writer.add(index_entry(fit), fit.payload)
        light = [replace(fit, payload=b"") for fit in fits]
        # Bytes: Beam weighs every object of a side input, 10,000 entities took it a second.
        yield pickle.dumps(list(zip(writer.close(), light, strict=True)))


def plan_models(
    config: TrainConfig, columns: TrainingColumns, summaries: Iterable[Summary]
) -> ModelSpec:
    """What all models have in common, given what all rows have.

    Raises:
      BeamfleetError: there is no row to train on.
    """
    total = sum(summaries, Summary())
    if not total.rows_in:
        raise BeamfleetError("no rows to train on: the training split is empty")
    if not total.rows_usable:
        raise BeamfleetError(
            f"no usable row among {total.rows_in}: {total.rows_without_label} without label "
            f"{config.label!r}, {total.rows_without_entity} without entity "
            f"{list(config.entity)}, {total.rows_dropped} with a missing feature"
        )
    return columns.spec(total.classes)


def _fitting(config: TrainConfig, spec: ModelSpec, parent: tuple[str, bytes] | None) -> Fitting:
    code = f"{config.code_fingerprint}:{config.hparams_json()}:{spec.fingerprint()}"
    return Fitting(
        config.train_fn,
        dict(config.hparams),
        hashlib.sha256(code.encode()).hexdigest(),
        spec,
        config.min_rows,
        config.max_rows,
        config.max_fallback_rows,
        parent,
    )


def _stream(batch: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())


def _results(shards: Iterable[bytes]) -> list[Result]:
    return [result for shard in shards for result in pickle.loads(shard)]  # noqa: S301 - our own
