"""Makes training sets: labels with the features of their time, split, and what was fitted."""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from components.errors import BeamfleetError
from components.feature_backfill.source_files import (
    check_unchanged,
    data_fingerprint,
    files_state,
)
from components.feature_store.labels import read_labels
from components.feature_store.logs import Logs
from components.feature_store.rows import with_features
from components.feature_store.split_files import (
    numbers,
    read_fitted,
    read_manifest,
    read_split,
    write_splits,
)
from components.feature_store.splits import GAP, LATE, SPLITS, Split, places
from components.feature_store.transformations import apply, fit
from components.features.definition import fingerprint
from components.features.group import FeatureGroup
from components.features.service import FeatureService
from components.progress import LOGGER


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
    """Counts (rows_in = train + validation + test + gap + known_late + rejected), fingerprints,
    and warnings: features that are null in all rows of a split."""
    fitted: Mapping[str, Any]
    """What the service's transformations learnt from train."""


def create(
    root: Path,
    service: FeatureService,
    split: Split,
    *,
    as_known: bool,
    as_of: datetime | None,
    fitted_once: bool = False,
) -> int:
    """Makes the next training set of a service, and gives its number.

    Args:
      fitted_once: Whether the transformations are those of the oldest set of this version.

    Raises:
      BeamfleetError: a label, feature or split is not as declared, or the logs are not of `as_of`.
    """
    logs = Logs(root, service, as_known=as_known, as_of=_utc(as_of) if as_of else None)
    files = files_state([service.labels] if service.labels else [])
    labels = read_labels(service)
    rows, beyond = _in_reach(labels.rows, logs.as_of)
    place = places(split, service, rows, rows["created"] if as_known else None)
    made = with_features(service, rows.drop("created"), logs.of, as_known=as_known)
    logs.check_unchanged()
    made = _label_last(service, made)
    parts = {name: made.filter(place == name) for name in SPLITS}
    counts = {name: int((place == name).sum()) for name in (*SPLITS, GAP, LATE)}
    rejected = dict(labels.rejects.group_by("reason").len().sort("reason").iter_rows()) | beyond
    manifest = {
        **_described(service, split, as_known),
        "as_of": logs.as_of.isoformat() if logs.as_of else None,
        "counts": _checked({"rows_in": labels.rows_in, **counts, "rejected": rejected}),
        "views": logs.described,
    }
    check_unchanged([service.labels] if service.labels else [], files)
    manifest["warnings"] = _warned(service, parts, manifest["as_of"])
    fitted = (_first_fitted(root, service) if fitted_once else None) or fit(service, parts["train"])
    return write_splits(root, service, {**parts, "rejects": labels.rejects}, fitted, manifest)


def read(root: Path, service: FeatureService, number: int, *, transformed: bool) -> TrainingSet:
    """A training set, as it was made.

    Raises:
      BeamfleetError: there is none, it was changed, or the service transforms otherwise now.
    """
    manifest, fitted = read_manifest(root, service, number), read_fitted(root, service, number)
    frames = {name: read_split(root, service, number, name) for name in SPLITS}
    if transformed:
        frames = {name: apply(service, frame, fitted) for name, frame in frames.items()}
    return TrainingSet(number, manifest=manifest, fitted=fitted, **frames)


def batch(
    root: Path, service: FeatureService, start: datetime, end: datetime, *, as_known: bool
) -> pl.DataFrame:
    """Rows of [start, end) to predict, labelled or not, with their features.

    Raises:
      BeamfleetError: the service has no labels, and request columns or no view with all keys; or
        the histories end before a row.
    """
    logs = Logs(root, service, as_known=as_known, as_of=None)
    start, end = _utc(start), _utc(end)
    if service.labels is None:
        rows = logs.changed(start, end)
    else:
        rows = read_labels(service, unlabelled=True).rows.drop("created")
        rows = rows.filter(pl.col("event_time").is_between(start, end, closed="left"))
    if logs.as_of is not None and (rows["event_time"] > logs.as_of).any():
        raise BeamfleetError(
            f"service {service.name!r}: there are rows up to {rows['event_time'].max()!s}, its "
            f"views are backfilled as of {logs.as_of.isoformat()}; backfill them further"
        )
    made = with_features(service, rows, logs.of, as_known=as_known)
    logs.check_unchanged()
    return _label_last(service, made)


def _first_fitted(root: Path, service: FeatureService) -> dict[str, Any] | None:
    """What the oldest training set of the same definition has fitted; None: there is none."""
    for number in numbers(root, service):
        if read_manifest(root, service, number)["definition"] == fingerprint(service):
            return read_fitted(root, service, number)
    return None


def _warned(
    service: FeatureService, parts: Mapping[str, pl.DataFrame], as_of: str | None
) -> list[str]:
    """Features that say nothing in a split; also to the log."""
    groups = [view.name for view in service.looked_up if isinstance(view, FeatureGroup)]
    late = f"; rows of {', '.join(groups)} inserted after {as_of} are not there yet"
    hint = late if groups and as_of else ""
    said = [
        f"service {service.name!r}: {feature} is null in all {rows.height} rows of {name}{hint}"
        for name, rows in parts.items()
        for feature in service.features
        if rows.height and rows[feature].null_count() == rows.height
    ]
    for one in said:
        logging.getLogger(LOGGER).warning(one)
    return said


def _in_reach(rows: pl.DataFrame, as_of: datetime | None) -> tuple[pl.DataFrame, dict[str, int]]:
    """Labels that were known then; the features of later ones would be those of an earlier time."""
    if as_of is None:
        return rows, {}
    kept = rows.filter((pl.col("created") <= as_of) & (pl.col("event_time") <= as_of))
    beyond = rows.height - kept.height
    return kept, {f"not known as of {as_of.isoformat()}": beyond} if beyond else {}


def _utc(time: datetime) -> datetime:
    """Without a zone it is UTC."""
    return time.replace(tzinfo=time.tzinfo or UTC)


def _label_last(service: FeatureService, rows: pl.DataFrame) -> pl.DataFrame:
    label = [name for name in [service.label] if name in rows.columns]
    return rows.select(pl.exclude(label), *label) if label else rows


def _described(service: FeatureService, split: Split, as_known: bool) -> dict[str, Any]:
    """What was asked for."""
    assert service.labels is not None
    return {
        "service": service.name,
        "version": service.version,
        "definition": fingerprint(service),
        "labels": data_fingerprint([service.labels]),
        "label": service.label,
        "boundary": service.boundary,
        "offset_us": service.offset_us,
        "as_known": as_known,
        "split": _told(split),
        "made": datetime.now(UTC).isoformat(),
    }


def _told(split: Split) -> dict[str, Any]:
    """As JSON says it."""
    given = asdict(split)
    if given.get("entity"):
        given["entity"] = given["entity"]["name"]
    values = {name: value for name, value in given.items() if value is not None}
    named = {n: v if isinstance(v, int | float) else str(v) for n, v in values.items()}
    return {"by": type(split).__name__, **named}


def _checked(counts: dict[str, Any]) -> dict[str, Any]:
    placed = sum(counts[name] for name in (*SPLITS, GAP, LATE)) + sum(counts["rejected"].values())
    if placed != counts["rows_in"]:
        raise BeamfleetError(f"{counts['rows_in']} labels became {placed}; this is a fault of ours")
    return counts
