"""Writes a training set of the store as Examples."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl
import pyarrow as pa

from components.errors import BeamfleetError
from components.example_gen.parts import Reject
from components.example_gen.write import ExamplesWriter
from components.feature_example_gen.config import FeatureExamplesConfig
from components.feature_example_gen.labelled import example_columns
from components.feature_example_gen.splits import NAMES, by_time
from components.feature_store.split_files import read_split
from components.feature_store.store import FeatureStore
from components.feature_vectors.plain import plain_table
from components.features.service import FeatureService

_UNKNOWN = "not known as of"


@dataclass(frozen=True)
class Made:
    """Examples; rows_in is the sum of rejected, gap and splits."""

    rows_in: int
    rows_rejected: int
    rows_gap: int
    """Between the splits, or their label was known too late for an earlier one."""
    splits: Mapping[str, int]
    unknown: int
    """Labels of which nothing was known yet; not in `rows_in`."""
    number: int
    """Of the training set in the store."""
    fitted: Mapping[str, Any]
    """What the service's transformations learnt from `train` of its oldest training set."""


def make_examples(
    service: FeatureService,
    config: FeatureExamplesConfig,
    store: FeatureStore,
    as_of: datetime,
    uri: str,
) -> Made:
    """Makes a training set in the store, and writes it as Examples.

    Raises:
      BeamfleetError: a split has no row, or something cannot be read.
    """
    # Models of several trainings are composed into one version, and have to read the same.
    made = store.create_train_validation_test_split(
        service, by_time(config), as_of=as_of, fitted_once=True
    )
    frames = {name: getattr(made, NAMES[name]) for name in config.split_names}
    tables = {name: as_table(service, frame) for name, frame in frames.items()}
    rejects = read_split(store.root, service, made.number, "rejects")
    with ExamplesWriter(uri, config.split_names, "parquet") as writer:
        writer.write(tables, [_reject(row) for row in rejects.to_dicts()])
        writer.publish()
    counts = made.manifest["counts"]
    reasons: Mapping[str, int] = counts["rejected"]
    unknown = sum(rows for reason, rows in reasons.items() if reason.startswith(_UNKNOWN))
    return _checked(
        Made(
            rows_in=counts["rows_in"] - unknown,
            rows_rejected=sum(reasons.values()) - unknown,
            rows_gap=counts["gap"] + counts["known_late"],
            splits={name: frame.height for name, frame in frames.items()},
            unknown=unknown,
            number=made.number,
            fitted=made.fitted,
        )
    )


def as_table(service: FeatureService, frame: pl.DataFrame) -> pa.Table:
    """The columns of Examples, in the types that Examples know: words, integers, doubles.

    A time becomes seconds since 1970, true becomes 1.
    """
    return plain_table(frame.select(example_columns(service)))


def _reject(row: Mapping[str, Any]) -> Reject:
    """Lines are counted from 1, rows from 0."""
    line = -1 if row["row"] is None else row["row"] + 1
    return Reject(file=row["file"], line=line, reason=row["reason"], text="")


def _checked(made: Made) -> Made:
    placed = made.rows_rejected + made.rows_gap + sum(made.splits.values())
    if placed != made.rows_in:
        raise BeamfleetError(f"{made.rows_in} labels became {placed}; please report this")
    return made
