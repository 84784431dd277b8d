"""Computes a view's whole history, embedded: files in, change log out, restartable."""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from components.errors import BeamfleetError
from components.feature_backfill.generation import (
    begin,
    finish,
    folder_of,
    is_whole,
    locked,
    manifest_of,
    publish,
)
from components.feature_backfill.keyed_piece import (
    PieceCounts,
    check_some_fit,
    collect_rejects,
    write_piece,
)
from components.feature_backfill.logs import known_log, read_events, read_log, scan_events, scan_log
from components.feature_backfill.shard_log import SHARD_ROWS, ShardCounts, whole_shard
from components.feature_backfill.source_files import (
    FilesState,
    Piece,
    check_unchanged,
    data_fingerprint,
    files_state,
    pieces_of,
)
from components.features.definition import fingerprint
from components.features.view import FeatureView
from components.progress import forget, tell
from components.user_function import own_fingerprint

LOG = logging.getLogger("beamfleet.features")
__all__ = ["BackfillReport", "backfill", "known_log", "read_events", "read_log"]
_MOST_SHARDS = 4096
_MANY_REJECTED = 0.01
Check = Callable[[FeatureView, pl.LazyFrame, pl.LazyFrame, datetime | None], None]
"""`check(view, log, events, as_of)` raises if nobody may read this."""
Progress = Callable[[int, int, str], None]
"""`progress(done, of, noun)`."""
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class BackfillReport:
    """rows_in = rejected + filtered + later + duplicates + events."""

    rows_in: int
    rejected: int
    """Named in `rejects.parquet` with file, row and reason."""
    filtered: int
    """Left out by the event_transform."""
    later: int
    """Happened, or came to be known, after `as_of`."""
    duplicates: int
    events: int
    rows_out: int
    """Of the change log."""
    folder: str
    """Of the generation."""


def backfill(
    view: FeatureView,
    root: Path,
    *,
    as_of: datetime | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
    check: Check | None = None,
) -> BackfillReport:
    """Computes a view's change log from the whole history of its sources.

    What is whole on disk, of the same data and definition, is not computed again, also after the
    process was killed. Readers see the new history once all of it is there.

    Args:
      view: The view.
      root: Folder of the store.
      as_of: Only of the events that had happened and been created by then; None: of all.
      workers: Threads; None: one for each core.
      progress: See Progress; None: the logger is told.
      check: See Check.

    Raises:
      BeamfleetError: a source cannot be read or changes meanwhile, the view's functions fail,
        another backfill of this view is running, or the check says so.
    """

    def made(generation: Path, at: datetime | None) -> dict[str, Any]:
        return _Run(view, generation, at, workers or _cores(), progress or _told(view)).made()

    return made_once(view, root, as_of, made, check, "threads")


def made_once(
    view: FeatureView,
    root: Path,
    as_of: datetime | None,
    made: Callable[[Path, datetime | None], dict[str, Any]],
    check: Check | None,
    road: str,
) -> BackfillReport:
    """Makes the generation unless it is whole, and shows it to readers.

    Args:
      view: See `backfill`; root, as_of, check, too.
      made: Makes the generation in a folder; gives `shards` and `counts`.
      road: Names `made`: what another one has begun is begun anew, because its files are others.
    """
    at = as_of.replace(tzinfo=as_of.tzinfo or UTC) if as_of is not None else None
    with locked(view, root):
        state = files_state(view.sources)
        what = _what(view, at)
        name = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:20]
        generation = folder_of(view, root) / name
        if not is_whole(generation):
            begin(generation, road)
            try:
                manifest = what | made(generation, at)
            except OSError as error:
                raise BeamfleetError(
                    f"view {view.name!r}: its history cannot be written to {generation}: {error}; "
                    "run again when this is mended: what is whole is not computed again"
                ) from error
            _check_unchanged(view, generation, state)
            finish(generation, manifest)
        if check is not None:
            check(view, scan_log(generation), scan_events(view, generation), at)
        publish(generation)
    report = BackfillReport(**manifest_of(generation)["counts"], folder=str(generation))
    _warn_of_rejects(view, report)
    return report


def shards_for(pieces: Sequence[Piece]) -> int:
    """So many that memory stays as it is while the data grows."""
    return min(max(-(-sum(one.rows for one in pieces) // SHARD_ROWS), 1), _MOST_SHARDS)


def counts_of(read: Sequence[PieceCounts], swept: Sequence[ShardCounts]) -> dict[str, int]:
    """The counts of the report."""
    of_pieces = ("rows_in", "rejected", "filtered", "later")
    counts = {field: sum(getattr(one, field) for one in read) for field in of_pieces}
    of_shards = ("duplicates", "events", "rows_out")
    return counts | {field: sum(getattr(one, field) for one in swept) for field in of_shards}


def _warn_of_rejects(view: FeatureView, report: BackfillReport) -> None:
    """A key that is often empty is no error of the run, and no detail either."""
    if report.rejected > _MANY_REJECTED * report.rows_in:
        rejects = pl.read_parquet(Path(report.folder) / "rejects.parquet")["reason"]
        why, rows = rejects.value_counts(sort=True).row(0)
        LOG.warning(
            "view %r: %d of %d rows rejected, %d of them because %s; %s/rejects.parquet names them",
            view.name, report.rejected, report.rows_in, rows, why, report.folder,
        )  # fmt: skip


def _what(view: FeatureView, as_of: datetime | None) -> dict[str, Any]:
    """Of what a history is made: of the same, nothing is computed again."""
    return {
        "code": own_fingerprint(),
        "definition": fingerprint(view),
        "data": data_fingerprint(view.sources),
        "as_of": as_of.isoformat() if as_of is not None else None,
    }


def _check_unchanged(view: FeatureView, generation: Path, before: FilesState) -> None:
    try:
        check_unchanged(view.sources, before)
    except BeamfleetError:
        shutil.rmtree(generation)  # its name says that it is of the files as they were
        raise


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _told(view: FeatureView) -> Progress:
    def told(done: int, of: int, noun: str) -> None:
        work = f"backfill of {view.name}: {noun}"
        if done == 1:
            forget(work)
        tell(work, of, noun)

    return told


class _Run:
    """Makes a generation."""

    def __init__(
        self,
        view: FeatureView,
        generation: Path,
        as_of: datetime | None,
        workers: int,
        progress: Progress,
    ) -> None:
        self._view, self._generation, self._as_of = view, generation, as_of
        self._workers, self._progress = workers, progress
        self._events, self._log = generation / "events", generation / "log"

    def made(self) -> dict[str, Any]:
        """Writes what is missing, and counts everything."""
        pieces = pieces_of(self._view.sources)
        shards = shards_for(pieces)
        named = [(f"piece-{place:05}", piece) for place, piece in enumerate(pieces)]
        read = self._all("pieces", lambda one: self._piece(*one, shards), named)
        check_some_fit(self._view, pieces, read)
        collect_rejects(self._generation, [name for name, _ in named])
        rows = [sum(counts.shards[shard] for counts in read) for shard in range(shards)]
        swept = self._all("shards", lambda one: self._shard(*one, shards), list(enumerate(rows)))
        return {"shards": shards, "counts": counts_of(read, swept)}

    def _all(self, noun: str, work: Callable[[T], R], of: list[T]) -> list[R]:
        done = []
        with ThreadPoolExecutor(self._workers) as pool:
            for one in _in_order(pool, work, of):
                done.append(one)
                self._progress(len(done), len(of), noun)
        return done

    def _piece(self, name: str, piece: Piece, shards: int) -> PieceCounts:
        return write_piece(self._view, piece, name, self._as_of, shards, self._events)

    def _shard(self, shard: int, rows: int, shards: int) -> ShardCounts:
        whole = self._log / f"shard-{shard:05}"
        return whole_shard(self._view, whole, self._events, shard, shards, rows)


def _in_order(pool: ThreadPoolExecutor, work: Callable[[T], R], of: Iterable[T]) -> Iterable[R]:
    """Like `pool.map`; after an error nothing more is begun."""
    futures = [pool.submit(work, one) for one in of]
    try:
        for future in futures:
            yield future.result()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
