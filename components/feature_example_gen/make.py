"""Writes the Examples: splits by time, transformations fitted on the first of them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import polars as pl
import pyarrow as pa

from components.errors import BeamfleetError
from components.example_gen.parts import Reject
from components.example_gen.write import ExamplesWriter
from components.feature_example_gen.labelled import example_columns
from components.feature_example_gen.rows import LABEL_TIME, Log, read_labels, with_features
from components.feature_example_gen.splits import Span
from components.feature_store import transformations
from components.features.service import FeatureService
from components.files import write_json

FITTED = "fitted.json"
TRAIN = "train"


@dataclass(frozen=True)
class Counts:
    """rows_in is the sum of the others but `unknown`."""

    rows_in: int
    rows_rejected: int
    rows_repeated: int
    rows_gap: int
    """Between the splits, and before the first."""
    splits: Mapping[str, int]
    unknown: int
    """Labels of which nothing was known yet."""


def make_examples(
    service: FeatureService, spans: tuple[Span, ...], as_of: datetime, log: Log, uri: str
) -> Counts:
    """Writes an Examples artifact, and what the transformations learnt (`fitted.json`).

    Raises:
      BeamfleetError: a split has no row, or something cannot be read.
    """
    labels = read_labels(service, as_of)
    parts = {span.name: _within(labels.rows, span) for span in spans}
    for span in spans:
        if not parts[span.name].height:
            raise BeamfleetError(
                f"{service.name!r}: no label of split {span.name!r}, from {span.start.isoformat()} "
                f"to {span.end.isoformat()}; of {labels.rows_in} known labels "
                f"{labels.rows_in - labels.rejects.height} can be used"
            )
    frames = {name: with_features(service, part, log) for name, part in parts.items()}
    fitted = transformations.fit(service, frames[TRAIN if TRAIN in frames else spans[0].name])
    tables = {
        name: as_table(service, transformations.apply(service, frame, fitted))
        for name, frame in frames.items()
    }
    rejects = [Reject(**row) for row in labels.rejects.to_dicts()]
    with ExamplesWriter(uri, [span.name for span in spans], "parquet") as writer:
        writer.write(tables, rejects)
        writer.publish()
    write_json(f"{uri}/{FITTED}", {"service": service.name, "fitted": json.dumps(fitted)})
    counts = {name: part.height for name, part in parts.items()}
    gap = labels.rows.height - sum(counts.values())
    return Counts(
        labels.rows_in, labels.rejects.height, labels.repeated, gap, counts, labels.unknown
    )


def as_table(service: FeatureService, frame: pl.DataFrame) -> pa.Table:
    """The columns of Examples, in the types that Examples know: words, integers, doubles.

    A time becomes seconds since 1970, true becomes 1.
    """
    columns = [_as_example(frame[name]) for name in example_columns(service)]
    return (
        pl.DataFrame(columns)
        .to_arrow(compat_level=pl.CompatLevel.oldest())
        .cast(pa.schema([(column.name, _ARROW[column.dtype]) for column in columns]))
    )


_ARROW = {pl.String(): pa.string(), pl.Int64(): pa.int64(), pl.Float64(): pa.float64()}


def _as_example(values: pl.Series) -> pl.Series:
    if isinstance(values.dtype, pl.Datetime):
        return values.dt.epoch("us").cast(pl.Float64) / 1e6
    if values.dtype == pl.Boolean or values.dtype.is_integer():
        return values.cast(pl.Int64)
    return values.cast(pl.Float64) if values.dtype.is_numeric() else values.cast(pl.String)


def _within(labels: pl.DataFrame, span: Span) -> pl.DataFrame:
    time = pl.col(LABEL_TIME)
    return labels.filter((time >= span.start) & (time < span.end))
