"""Makes training sets: labels with the features of their time, split, and what was fitted."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from components.errors import BeamfleetError
from components.feature_store.labels import read_labels
from components.feature_store.logs import Logs
from components.feature_store.rows import with_features
from components.feature_store.source_files import data_fingerprint
from components.feature_store.split_files import (
    read_fitted,
    read_manifest,
    read_split,
    write_splits,
)
from components.feature_store.splits import GAP, LATE, SPLITS, Split, places
from components.feature_store.transformations import apply, fit
from components.features.definition import fingerprint
from components.features.service import FeatureService

PLACE = "__split__"


@dataclass(frozen=True)
class TrainingSet:
    """A numbered training set of a service: keys, event_time, event_id (if the labels have an id),
    request columns, features, label; in the order of the labels.
    """

    number: int
    train: pl.DataFrame
    validation: pl.DataFrame
    test: pl.DataFrame
    manifest: Mapping[str, Any]
    """Counts (rows_in = train + validation + test + gap + known_late + rejected), fingerprints."""
    fitted: Mapping[str, Any]
    """What the service's transformations learnt from train."""


def create(
    root: Path, service: FeatureService, split: Split, *, as_known: bool, as_of: datetime | None
) -> int:
    """Makes the next training set of a service, and gives its number.

    Raises:
      BeamfleetError: a label, feature or split is not as declared, or the logs are not of `as_of`.
    """
    labels, logs = read_labels(service), Logs(root, service, as_known=as_known, as_of=as_of)
    rows, left_out = _in_reach(labels.rows, logs.as_of(), service)
    known = rows["created"] if as_known else None
    place = places(split, service, rows, known)
    made = with_features(service, rows.drop("created"), logs.of, as_known=as_known)
    made = _ordered(service, made).with_columns(place.alias(PLACE))
    parts = {name: made.filter(pl.col(PLACE) == name).drop(PLACE) for name in SPLITS}
    counts = {name: frame.height for name, frame in parts.items()}
    counts |= {name: int((place == name).sum()) for name in (GAP, LATE)}
    rejected = dict(labels.rejects.group_by("reason").len().sort("reason").iter_rows()) | left_out
    manifest = {
        "service": service.name,
        "version": service.version,
        "made": datetime.now(UTC).isoformat(),
        "split": {"by": type(split).__name__, **_told(asdict(split))},
        "label": service.label,
        "boundary": service.boundary,
        "offset_us": service.offset_us,
        "as_known": as_known,
        "as_of": as_of.isoformat() if as_of else None,
        "counts": {"rows_in": labels.rows_in, **counts, "rejected": rejected},
        "fingerprints": {"service": fingerprint(service), "labels": data_fingerprint(service.labels)}
        | {"views": logs.described()},
    }
    _check_counts(manifest["counts"])
    frames = {**parts, "rejects": labels.rejects}
    return write_splits(root, service, frames, fit(service, parts["train"]), manifest)


def read(root: Path, service: FeatureService, number: int, *, transformed: bool) -> TrainingSet:
    """A training set, as it was made.

    Raises:
      BeamfleetError: there is none, it was changed, or the service transforms otherwise now.
    """
    manifest, fitted = read_manifest(root, service, number), read_fitted(root, service, number)
    frames = [read_split(root, service, number, name) for name in SPLITS]
    if transformed:
        frames = [apply(service, frame, fitted) for frame in frames]
    return TrainingSet(number, *frames, manifest, fitted)


def batch(
    root: Path, service: FeatureService, start: datetime, end: datetime, *, as_known: bool
) -> pl.DataFrame:
    """Rows of [start, end) to predict, labelled or not, with their features.

    Raises:
      BeamfleetError: the service has no labels, and request columns or no view with all keys.
    """
    logs = Logs(root, service, as_known=as_known, as_of=None)
    inside = pl.col("event_time").is_between(start, end, closed="left")
    if service.labels is not None:
        rows = read_labels(service, unlabelled=True).rows
    else:
        rows = logs.changes(start, end)
    made = with_features(service, rows.filter(inside).drop("created"), logs.of, as_known=as_known)
    return _ordered(service, made)


def _in_reach(
    rows: pl.DataFrame, as_of: datetime | None, service: FeatureService
) -> tuple[pl.DataFrame, dict[str, int]]:
    """The labels that were known then: later ones would have features of an earlier time."""
    if as_of is None:
        return rows, {}
    reach = (pl.col("created") <= as_of) & (pl.col("event_time") <= as_of)
    kept = rows.filter(reach)
    late = rows.height - kept.height
    return kept, {f"not known at {as_of.isoformat()}": late} if late else {}


def _ordered(service: FeatureService, rows: pl.DataFrame) -> pl.DataFrame:
    label = [name for name in [service.label] if name in rows.columns]
    return rows.select(pl.exclude(label), *label)


def _told(split: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON says it."""
    told = {name: value for name, value in split.items() if value is not None}
    if "entity" in told:
        told["entity"] = told["entity"]["name"]
    return {n: v if isinstance(v, int | float) else str(v) for n, v in told.items()}


def _check_counts(counts: Mapping[str, Any]) -> None:
    placed = sum(counts[name] for name in (*SPLITS, GAP, LATE)) + sum(counts["rejected"].values())
    if placed != counts["rows_in"]:
        raise BeamfleetError(f"{counts['rows_in']} labels became {placed}; please report this")
