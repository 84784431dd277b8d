"""The steps from files to validated examples."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self, Unpack

from components.errors import BeamfleetError
from components.example_gen.source import CsvSource, ParquetSource, TFRecordSource
from components.example_validator.expressions import Checks
from pipelines import steps
from pipelines.builder.recorder import Recorder
from pipelines.sources import CsvAndIngest, PathLike, TypedAndIngest, ingest_config, made


class ExamplesSteps(Recorder):
    """The steps from files to validated examples."""

    def from_csv(self, *paths: PathLike, **options: Unpack[CsvAndIngest]) -> Self:
        """Reads CSV files, folders or patterns, and splits the rows.

        Args:
          paths: Rows to train on and, unless `eval_data` is given, to evaluate on.
          options: Those of CsvOptions, and
            clean: dotted path of `clean_fn(table: pa.Table) -> pa.Table`;
            max_rejected_share: share of unreadable rows that stops the run, default 0.01;
            splits: HashSplit (default: two thirds `train`, one third `eval`) or TimeSplit;
            eval_data: rows of the split `eval`, given apart.
        """
        return self._record(steps.ReadExamples(ingest_config(CsvSource, paths, options)))

    def from_parquet(self, *paths: PathLike, **options: Unpack[TypedAndIngest]) -> Self:
        """Reads Parquet files, folders or patterns; options as of `from_csv`."""
        return self._record(steps.ReadExamples(ingest_config(ParquetSource, paths, options)))

    def from_tfrecord(self, *paths: PathLike, **options: Unpack[TypedAndIngest]) -> Self:
        """Reads TFRecord files of tf.Example; options as of `from_csv`."""
        return self._record(steps.ReadExamples(ingest_config(TFRecordSource, paths, options)))

    def with_examples(self, component: Any) -> Self:
        """Takes the examples of another TFX component, such as a BigQueryExampleGen."""
        if "examples" not in getattr(component, "outputs", {}):
            raise BeamfleetError(
                f"with_examples() takes a TFX component with an output 'examples', got {component}"
            )
        return self._record(steps.GivenExamples(component))

    def generate_statistics(self) -> Self:
        """Computes statistics of every split."""
        return self._record(steps.GenerateStatistics())

    def infer_schema(self) -> Self:
        """Infers a schema from the statistics. A curated schema (`with_schema`) wins over it."""
        return self._record(steps.InferSchema())

    def with_schema(self, path: PathLike) -> Self:
        """Uses a curated schema: a text proto, `schema.pbtxt`."""
        return self._record(steps.WithSchema(str(Path(path).absolute())))

    def validate_examples(
        self,
        on_anomaly: str = "stop",
        *,
        drift: Mapping[str, float] | None = None,
        skew: Mapping[str, float] | None = None,
        checks: Mapping[str, str] | None = None,
        row_checks: Mapping[str, str] | None = None,
    ) -> Self:
        """Compares the statistics with the schema; anomalies `"stop"` the run or `"warn"`.

        Args:
          on_anomaly: "stop" or "warn".
          drift: Column -> largest distance of the newest span from the span before: of words the
            largest change of a word's share, of numbers the Jensen-Shannon divergence (0 to 1).
            The newest span is validated then, also where a window of several is read.
          skew: Column -> largest distance from the rows of `bulk_infer`.
          checks: Name -> DuckDB expression over each split's `examples` or `statistics` that has
            to be true: {"fares are positive": "min(fare) > 0"}. See docs/validation.md.
          row_checks: Name -> expression that has to be true of every row: "tips <= fare".
        """
        return self._record(
            made(
                steps.ValidateExamples,
                on_anomaly=on_anomaly,
                drift=dict(drift or {}),
                skew=dict(skew or {}),
                checks=made(Checks, of_split=dict(checks or {}), of_row=dict(row_checks or {})),
            )
        )
