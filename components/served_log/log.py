"""The writing side: it never blocks or fails a request, and counts what it could not keep."""

import logging
import os
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from components.errors import BeamfleetError
from components.features.service import FeatureService
from components.served_log.columns import as_frame, log_schema
from components.served_log.parts import LogFolder
from components.served_log.segment import SUFFIX, SegmentWriter

LOG = logging.getLogger("beamfleet.served")
Rows = pl.DataFrame | Sequence[Mapping[str, object]]

_UNFIT = (ValueError, TypeError, OverflowError, pl.exceptions.PolarsError)
_FLUSH_S = 0.25
_SYNC_S = 1.0
_SEGMENT_S = 900.0
_JOIN_S = 10.0


class ServedLog:
    """Appends served rows of one service; every server process has one of its own.

    A thread writes what was appended, a few times a second. Guarantee: rows are in the file, and
    safe from a kill -9, when `flush` returns, at the latest 0.25 s after `append` as long as the
    disk keeps up; they are on the disk, and safe from a power cut, 1 s later. What is lost is lost
    as whole frames: readers see no half row and no row twice. Rows beyond the queue's bound, and
    rows that do not fit, are dropped, counted (`dropped`) and written down in losses.jsonl.

    Example:
        log = ServedLog(root, fraud)
        log.append([{"request_id": "r1", "time": now, "model_version": "3", "entity": "grocery",
                     "prediction": "no", "score": 0.03, "key.card_id": "c1",
                     "request.amount": 7.5, "feature.mean_4h": 20.5, "valid_from.card_spend": at}])
    """

    def __init__(
        self,
        root: str | Path,
        service: FeatureService,
        *,
        queue_rows: int = 20_000,
        segment_bytes: int = 16 << 20,
        max_bytes: int = 4 << 30,
    ) -> None:
        """Opens it; the thread starts with the first row, so that a server may fork before.

        Args:
          root: Of the feature store.
          service: Whose columns the rows have.
          queue_rows: Rows that may wait to be written.
          segment_bytes: A segment becomes a Parquet part at this size, or after 15 minutes.
          max_bytes: Of all parts of the service; the oldest are removed, and counted, beyond that.

        Raises:
          BeamfleetError: the folder cannot be made.
        """
        self._service, self._schema = service, log_schema(service)
        self._folder = LogFolder(Path(root, "served", service.name))
        self._queue_rows, self._segment_bytes = queue_rows, segment_bytes
        self._max_bytes = max_bytes
        self.dropped = 0
        """Rows that were not kept, since the process began."""
        self._begin()
        try:
            self._folder.make()
        except OSError as error:
            raise BeamfleetError(
                f"the log of served vectors cannot be written to {self._folder.path}: {error}"
            ) from None

    def _begin(self) -> None:
        self._pid = 0
        self._changed = threading.Condition()
        self._queue: list[Rows] = []
        self._waiting = self._asked = self._flushed = 0
        self._lost: dict[str, int] = {}
        self._thread: threading.Thread | None = None
        self._segment: SegmentWriter | None = None
        self._ended = ""  # why, once it has
        self._born = self._synced = 0.0
        self._due = False

    def append(self, rows: Rows) -> None:
        """Takes rows for the log; it neither blocks nor raises.

        Args:
          rows: Columns are those of `columns.log_schema`; `request_id` and `time` are needed, what
            is absent is null. `service` and `service_version` are filled in.
        """
        if self._thread is not None and os.getpid() != self._pid:
            self._begin()  # neither the thread nor that of polars survives a fork
            self._ended = "the process was forked from one that had logged; open the log after it"
        with self._changed:
            if self._thread is None and not self._ended:
                self._thread = threading.Thread(target=self._run, name="served-log", daemon=True)
                self._thread.start()
                self._pid = os.getpid()
            if self._ended or self._waiting + len(rows) > self._queue_rows:
                why = self._ended or "the queue was full"
                self._lost[why] = self._lost.get(why, 0) + len(rows)
                self.dropped += len(rows)
                if self._ended:
                    self._tell_losses()
                return
            self._queue.append(rows)
            self._waiting += len(rows)

    def flush(self, wait_s: float = 10.0) -> bool:
        """Waits until all that was appended before is on the disk, or counted in `dropped`.

        Returns:
          False if it took longer.
        """
        with self._changed:
            if self._thread is None or self._ended:
                return not self._waiting
            self._asked += 1
            mine = self._asked
            self._changed.notify_all()
            return self._changed.wait_for(lambda: self._flushed >= mine, wait_s)

    def close(self) -> None:
        """Writes what waits, and makes a part of the segment; later rows are dropped."""
        with self._changed:
            self._ended = self._ended or "the log was closed"
            thread = self._thread
            self._changed.notify_all()
        if thread is not None and self._pid == os.getpid():
            thread.join(_JOIN_S)

    def __enter__(self) -> "ServedLog":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        self._tidied()
        while True:
            with self._changed:
                self._changed.wait_for(self._is_called, _FLUSH_S)
                asked, ended = self._asked, bool(self._ended)
                taken, self._queue = self._queue, []
            self._write_or_lose(taken)
            try:
                self._sync(asked > self._flushed or ended)
            except OSError as error:  # the rows are in the file, and may not outlive a power cut
                self._lose(f"the segment cannot be synced: {error.strerror}", 0)
            with self._changed:
                self._waiting -= sum(map(len, taken))
                self._flushed = asked
                self._tell_losses()
                self._changed.notify_all()
            self._rotate(ended)
            if ended and not self._queue:
                return

    def _write_or_lose(self, taken: list[Rows]) -> None:
        """Serving goes on, whatever happens here; what is not in the file is counted."""
        try:
            self._write(taken)
        except Exception as error:
            why = f"the segment cannot be written: {type(error).__name__}: {error}"
            self._lose(why, sum(map(len, taken)))

    def _is_called(self) -> bool:
        return bool(self._ended) or self._asked > self._flushed

    def _write(self, taken: list[Rows]) -> None:
        if not taken:
            return
        frames = self._fitting(taken)
        if not frames:
            return
        rows = pl.concat(frames)
        try:
            if self._segment is None:
                stem = f"{time.time_ns() // 1000:020d}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
                self._segment = SegmentWriter(self._folder.segments / f"{stem}{SUFFIX}")
                self._born = time.monotonic()
            self._segment.append(rows)
            self._due = True
        except OSError as error:
            self._lose(f"the segment cannot be written: {error.strerror}", rows.height)

    def _fitting(self, taken: list[Rows]) -> list[pl.DataFrame]:
        """All in one frame, which costs the least; one by one where something does not fit."""
        frames = [rows for rows in taken if isinstance(rows, pl.DataFrame)]
        single = [row for rows in taken if not isinstance(rows, pl.DataFrame) for row in rows]
        given: list[Rows] = [*frames, single]
        try:
            return [as_frame(rows, self._schema, self._service) for rows in given if len(rows)]
        except _UNFIT as error:
            if len(taken) > 1:
                return [frame for rows in taken for frame in self._fitting([rows])]
            reason = str(error).split("\n")[0][:200]
            self._lose(f"rows do not fit: {reason}", len(taken[0]))
            return []

    def _sync(self, at_once: bool) -> None:
        if self._segment and self._due and (at_once or time.monotonic() - self._synced > _SYNC_S):
            self._segment.sync()
            self._synced, self._due = time.monotonic(), False

    def _rotate(self, ended: bool) -> None:
        """Makes a part of a segment that is large or old."""
        segment = self._segment
        if segment is None:
            return
        old = time.monotonic() - self._born > _SEGMENT_S
        if not (ended or old or segment.bytes >= self._segment_bytes):
            return
        self._segment = None
        try:
            segment.sync()
            self._folder.compact(segment.path)
        except Exception as error:  # what is left lies there for `adopt`
            LOG.error("%s stays a segment for now: %s", segment.path.name, error)
        finally:
            segment.close()
        self._tidied()

    def _tidied(self) -> None:
        try:
            self._folder.adopt()
            self._folder.prune(self._max_bytes)
        except Exception as error:
            LOG.error("the log of service %s: %s", self._service.name, error)

    def _lose(self, why: str, rows: int) -> None:
        with self._changed:
            self.dropped += rows
            self._lost[why] = self._lost.get(why, 0) + rows

    def _tell_losses(self) -> None:
        """Writes down what was dropped since the last time; the caller holds the lock."""
        lost, self._lost = self._lost, {}
        for why, rows in lost.items():
            LOG.error("%d rows of service %s were not logged: %s", rows, self._service.name, why)
            try:
                self._folder.lose(why, rows=rows)
            except OSError:  # a full disk; it stays in `dropped` and in the server's log
                continue
