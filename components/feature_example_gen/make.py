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
from components.feature_vectors.plain import plain_table
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
    return plain_table(frame.select(example_columns(service)))


def _within(labels: pl.DataFrame, span: Span) -> pl.DataFrame:
    time = pl.col(LABEL_TIME)
    return labels.filter((time >= span.start) & (time < span.end))
