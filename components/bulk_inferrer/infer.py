"""Predicts the rows of examples with a store of entity models, or with one SavedModel.

    <uri>/predictions/part-*.parquet    chosen input columns, prediction, probabilities,
                                        model_version, fallback; sorted by entity in each file
    <uri>/dead_letters/part-*.parquet   the rows that could not be predicted, see results.py;
                                        absent if there are none
    <uri>/dead_letters/_retention.json  what they hold and until when they are to be kept
    <uri>/summary.json                  counts; written last

All rows of an entity are in one file. The files depend on the rows only, not on the order in which
they are read or predicted.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field

import apache_beam as beam
import pyarrow as pa
from apache_beam.io.filesystems import FileSystems

from components.bulk_inferrer import write
from components.bulk_inferrer.config import InferenceConfig
from components.bulk_inferrer.read import (
    PARQUET,
    ReadPlaced,
    check_columns,
    empty_table,
)
from components.bulk_inferrer.results import (
    DEAD_LETTERS,
    PREDICTIONS,
    Layout,
    in_order,
    part,
    predictions,
)
from components.entity_models.handler import PredictTable
from components.entity_models.open import Models, open_models
from components.entity_models.predict import predict
from components.errors import BeamfleetError
from components.examples.read import ExamplesSplit, split_files
from components.files import move_into_place, write_json, write_parquet

_SHARD_BYTES = 2 * 1024 * 1024
"""Bytes of (compressed) examples a shard: some 100,000 rows, which are in memory together."""
_MAX_SHARDS = 256


@dataclass(frozen=True)
class ServedModel:
    """The models that predict."""

    uri: str
    version: int = 0
    """Number of the pushed version; 0 for a model that was not pushed."""


@dataclass(frozen=True)
class Summary:
    """What became of the rows; summary.json holds these fields."""

    rows_in: int
    rows: int
    """Predicted rows; rows_in = rows + rows_failed."""
    rows_failed: int
    rows_fallback: int
    """Rows of `rows` that the fallback predicted, because their entity has no model."""
    model_version: int
    model_uri: str
    reasons: dict[str, int] = field(default_factory=dict)
    """The most frequent reasons of failed rows."""


def infer(
    make_pipeline: Callable[[], beam.Pipeline],
    splits: Sequence[ExamplesSplit],
    model: ServedModel,
    uri: str,
    config: InferenceConfig,
) -> Summary:
    """Writes predictions, dead letters and summary of all rows into the folder `uri`.

    Raises:
      BeamfleetError: a column is missing or of another type, the models or a file are broken, more
        than `config.max_failed_share` of the rows failed, or the counts do not agree.
    """
    models = open_models(model.uri)
    layout = _layout(models, model, config)
    nothing = [_check(models, s, config, layout) for s in splits if s.payload == PARQUET]
    write.clear(uri)
    needed = config.needed(models.spec)
    shards = _shards(splits)
    with make_pipeline() as pipeline:
        tables = pipeline | ReadPlaced(splits, needed, config.payload)
        pairs = tables | PredictTable(model.uri, models.spec.entity_columns, shards)
        written = (
            pairs
            | "PartRows" >> beam.FlatMap(part, layout, shards)
            | "GroupParts" >> beam.GroupByKey()
            | "WriteParts" >> beam.Map(write.write_shard, uri, shards)
        )
        _write_counts(tables, written, f"{uri}/counts.json")
    summary = _summary(uri, model)
    if not summary.rows and nothing:
        write_parquet(f"{uri}/{PREDICTIONS}/part-00000-of-{shards:05d}.parquet", nothing[0])
    if summary.rows_failed:
        write.write_retention(uri, config)
    write_json(f"{uri}/summary.json", asdict(summary))
    _check_share(summary, uri, config)
    return summary


def _layout(models: Models, model: ServedModel, config: InferenceConfig) -> Layout:
    private = config.private_columns
    return Layout(
        columns=config.results(models.spec),
        private=private,
        payload=config.payload,
        private_entity=bool(set(private) & set(models.spec.entity_columns)),
        model_version=model.version,
    )


def _check(
    models: Models, split: ExamplesSplit, config: InferenceConfig, layout: Layout
) -> pa.Table:
    """Checks columns and types at once, not in a worker; gives a result without rows."""
    table = empty_table(split)
    check_columns(split.pattern, config.needed(models.spec), table.schema.names)
    return in_order(predictions(table, predict(models, table), layout))


def _shards(splits: Sequence[ExamplesSplit]) -> int:
    size = sum(file.size_in_bytes for split in splits for file in split_files(split))
    return int(min(_MAX_SHARDS, size // _SHARD_BYTES + 1))


def _write_counts(tables: beam.PCollection, written: beam.PCollection, path: str) -> None:
    rows_in = tables | "CountRows" >> beam.Map(lambda table: {"rows_in": table.num_rows})
    _ = (
        (rows_in, written)
        | "FlattenCounts" >> beam.Flatten()
        | "SumCounts" >> beam.CombineGlobally(_sum)
        | "WriteCounts" >> beam.Map(lambda counts: write_json(path, counts))
    )


def _sum(counts: Sequence[dict[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for count in counts:
        for name, value in count.items():
            total[name] = total.get(name, 0) + value
    return total


def _summary(uri: str, model: ServedModel) -> Summary:
    """Compares what was read with what the written files hold."""
    with FileSystems.open(f"{uri}/counts.json") as file:
        counts = json.loads(file.read())
    FileSystems.delete([f"{uri}/counts.json"])
    rows, failed = (write.rows_written(uri, kind) for kind in (PREDICTIONS, DEAD_LETTERS))
    rows_in = counts.get("rows_in", 0)
    if rows_in != rows + failed:
        raise BeamfleetError(
            f"{uri}: {rows_in} rows were read, but {rows} predictions and {failed} dead letters "
            "were written; nothing of it can be trusted, run the inference again"
        )
    reasons = write.frequent_reasons(uri) if failed else {}
    fallback = counts.get("fallback", 0)
    return Summary(rows_in, rows, failed, fallback, model.version, model.uri, reasons)


def _check_share(summary: Summary, uri: str, config: InferenceConfig) -> None:
    if summary.rows_failed > config.max_failed_share * summary.rows_in:
        reasons = "; ".join(f"{text} ({count}x)" for text, count in summary.reasons.items())
        aside = f"{uri.rstrip('/')}.{DEAD_LETTERS}"  # TFX removes the folder of what has failed
        move_into_place(f"{uri}/{DEAD_LETTERS}", aside)
        raise BeamfleetError(
            f"{summary.rows_failed} of {summary.rows_in} rows failed, more than the share of "
            f"{config.max_failed_share} that max_failed_share allows: {reasons}. They are in "
            f"{aside}; mend the data or the model, or allow more"
        )
