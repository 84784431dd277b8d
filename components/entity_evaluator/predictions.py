"""Held-out rows predicted by several models at once, through RunInference."""

from collections.abc import Sequence
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.io.parquetio import WriteToParquetBatched
from apache_beam.ml.inference.base import RunInference

from components.entity_evaluator.scores import ScoreColumns, add_scores, keep_scores
from components.entity_models.handler import EntityModelHandler, PredictTable


@dataclass(frozen=True)
class Pass:
    """One prediction of every row."""

    name: str
    """Such as `candidate`."""
    uri: str
    """Folder of the entity-models store."""
    only: str | None = None
    """"fallback": the fallback predicts every row."""


class PredictScores(beam.PTransform):
    """Record batches in, score tables out (see `scores.py`).

    Rows meet by entity once; then all passes predict the same tables, which keeps them paired.
    """

    def __init__(self, passes: Sequence[Pass], columns: ScoreColumns) -> None:
        super().__init__()
        self._passes, self._columns = tuple(passes), columns

    def expand(self, batches: beam.PCollection) -> beam.PCollection:
        columns = self._columns
        first, *others = self._passes
        tables = (
            batches
            | f"Predict[{first.name}]" >> PredictTable(first.uri, columns.spec.entity_columns)
            | f"Score[{first.name}]" >> beam.Map(add_scores, columns, first.name)
        )
        for one in others:
            tables = (
                tables
                | f"Predict[{one.name}]" >> RunInference(EntityModelHandler(one.uri, only=one.only))
                | f"Pair[{one.name}]" >> beam.Map(lambda r: (r.example, r.inference))
                | f"Score[{one.name}]" >> beam.Map(add_scores, columns, one.name)
            )
        return tables | "KeepScores" >> beam.Map(keep_scores, columns)


class WriteScores(beam.PTransform):
    """Score tables in, Parquet files out, each whole and written once."""

    def __init__(self, folder: str, columns: ScoreColumns) -> None:
        super().__init__()
        self._folder, self._columns = folder, columns

    def expand(self, tables: beam.PCollection) -> beam.PCollection:
        return tables | "WriteParquet" >> WriteToParquetBatched(
            f"{self._folder}/scores",
            self._columns.schema,
            codec="zstd",
            file_name_suffix=".parquet",
        )
