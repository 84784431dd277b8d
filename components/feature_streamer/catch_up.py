"""From the history to now: into the online store, then the stream, then both are compared."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from components.errors import BeamfleetError
from components.feature_backfill.logs import read_events, read_log
from components.feature_computer.compute import compute
from components.feature_computer.declared import Features, data_fingerprint, sources_of, views_of
from components.feature_store.parity import Parity, compared
from components.feature_store.store import FeatureStore
from components.feature_stream import read_late, read_stream_log, run_stream
from components.feature_values.changes import changes
from components.features.view import FeatureView
from components.files import write_whole

STATE, _BEGUN, _LOG = "stream.db", "stream.begun", "stream"


@dataclass(frozen=True)
class Streamed:
    """One view; rows = events + late + duplicates + rejected + filtered."""

    view: str
    version: int
    rows: int
    events: int
    late: int
    duplicates: int
    rejected: int
    filtered: int
    changes: int
    """Values that were said, corrections among them."""
    points: int
    """(keys, valid_from) of the stream's days that both have."""
    apart: int
    """Points that differ, or that one of them lacks, without the late events. 0: parity holds."""
    apart_by_late: int
    """Points that differ because events were too late for the stream."""


def catch_up(
    features: Features, store: FeatureStore, as_of: datetime, until: datetime
) -> tuple[Streamed, ...]:
    """Serves the history as of a time, streams what came since, and looks whether both agree.

    In the end the online store is also given what the backfill knows and the stream does not: what
    leaves its window behind `until` (a stream that goes on says it then), and late events.

    Args:
      as_of: The online store is filled with what held then; from then on the streams say.
      until: Where the watermark moves in the end, and the end of the history to compare with.

    Raises:
      BeamfleetError: a stream cannot be read, or says something else than the backfill.
    """
    views = views_of(features)
    compute(features, store, as_of)
    _begin(features, store.root, as_of)
    for view in views:
        if view.online:
            store.materialize(view, as_of)
    report = run_stream(
        views,
        store.online,
        store.root / STATE,
        store.root,
        until_idle=True,
        at_idle=lambda: until,
        history=lambda view: read_events(view, store.root),
    )
    compute(features, store, until)
    done = []
    for view, said in zip(views, report.views, strict=True):
        exact, whole = _compared(view, store, as_of, until)
        counts: dict[str, Any] = asdict(said.counts)
        found = {"points": sum(one.both for one in exact), "apart": _apart(exact)}
        found["apart_by_late"] = _apart(whole) - found["apart"]
        done.append(Streamed(view.name, view.version, **counts, **found))
        _check(view, exact)
        if view.online:
            store.materialize(view, until)
    return tuple(done)


def _begin(features: Features, root: Path, as_of: datetime) -> None:
    """A stream stands on its history: on another one it begins anew."""
    stands_on = f"{as_of.isoformat()} {data_fingerprint(sources_of(features))}"
    noted = root / _BEGUN
    if noted.exists() and noted.read_text(encoding="utf-8") != stands_on:
        shutil.rmtree(root / _LOG, ignore_errors=True)
        for file in root.glob(f"{STATE}*"):
            file.unlink()
    write_whole(str(noted), stands_on.encode())


def _compared(
    view: FeatureView, store: FeatureStore, as_of: datetime, until: datetime
) -> tuple[list[Parity], list[Parity]]:
    """With the backfill without what was late for the stream, and with all of it."""
    # What leaves its window later, or may still be prolonged, is not said yet.
    lateness = timedelta(microseconds=view.transformer.window.lateness_us)
    said = pl.col("valid_from") <= until - lateness
    streamed = read_stream_log(view, store.root).filter(said)
    events = _without_late(view, read_events(view, store.root), store.root)
    exact = changes(view, events).lazy().filter(said)
    whole = read_log(view, store.root).filter(said)
    return tuple(  # type: ignore[return-value]
        [compared(view, day, streamed, log) for day in _days(as_of, until)]
        for log in (exact, whole)
    )


def _without_late(view: FeatureView, events: pl.DataFrame, root: Path) -> pl.DataFrame:
    try:
        late = read_late(view, root)
    except BeamfleetError:
        return events  # there are none
    same = [*view.keys, "event_time", "created", "event_id"]
    return events.join(late.select(same), on=same, how="anti", nulls_equal=True)


def _days(first: datetime, last: datetime) -> list[date]:
    """Whole days of the stream, UTC; the last one as far as it goes."""
    days = (last.astimezone(UTC).date() - first.astimezone(UTC).date()).days
    return [first.astimezone(UTC).date() + timedelta(days=n) for n in range(days + 1)]


def _apart(days: Sequence[Parity]) -> int:
    return sum(
        one.only_stream + one.only_backfill + max(one.differing.values(), default=0) for one in days
    )


def _check(view: FeatureView, days: Sequence[Parity]) -> None:
    for day in days:
        if not day.same:
            example = next(_shown(day.examples), "")
            raise BeamfleetError(
                f"view {view.name!r}: stream and backfill of {day.day} differ: {day.only_stream} "
                f"points of the stream only, {day.only_backfill} of the backfill only, "
                f"{sum(day.differing.values())} values differ, such as {example}"
            )


def _shown(examples: pl.DataFrame) -> Iterator[str]:
    for row in examples.to_dicts():
        yield ", ".join(f"{name} {value}" for name, value in row.items())
