"""Keeps views up to date while their events come, in this process.

Beam's runners in Python know no state that outlives their process, and the Fn API runner is a batch
runner, whose watermark jumps to the end. So this is the same sweep in small transactions of its
own; on Flink or Dataflow it is `StreamFeatures`.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

from components.errors import BeamfleetError
from components.feature_stream.counts import Counts
from components.feature_stream.json_files import next_block
from components.feature_stream.keying import utc
from components.feature_stream.ledger import Ledger
from components.feature_stream.state import BEFORE
from components.feature_stream.view_stream import ViewStream
from components.features.view import FeatureView
from components.online_store import OnlineStore
from components.progress import LOGGER

_EVERY_S = 2.0


@dataclass(frozen=True)
class ViewReport:
    """What became of the events of a view, in all runs on the same state."""

    view: str
    version: int
    counts: Counts
    watermark: datetime | None
    """None: no event has come."""
    unread_bytes: int
    """Of lines that have no end yet."""


@dataclass(frozen=True)
class StreamReport:
    """What a stream has done."""

    views: tuple[ViewReport, ...]
    interrupted: bool
    """By Ctrl-C; the next run goes on."""


def run_stream(
    views: Sequence[FeatureView],
    online: OnlineStore | None,
    state: Path,
    root: Path,
    *,
    until_idle: bool = False,
    at_idle: Callable[[], datetime] | None = None,
    history: Callable[[FeatureView], pl.DataFrame] | None = None,
    patience_s: float = 0.0,
    poll_s: float = 1.0,
) -> StreamReport:
    """Reads the streams of views from where it last ended, until it is stopped.

    It can be killed at any time, and goes on with the next run: nothing is lost and nothing counted
    twice. Change rows go to the online store and to `root`/stream (`read_stream_log`).

    Args:
      views: Each of their sources has JsonLines as its stream.
      online: Where values are served from, for views with `online`; None: only the log is written.
      state: SQLite file of what it remembers; made if it is not there.
      root: Folder of the store.
      until_idle: Ends when there is nothing more to read.
      at_idle: Where the watermark moves when there is nothing to read, so that what leaves its
        window is said: such as `lambda: datetime.now(UTC)`. None: it stays at the newest event.
      history: Gives the keyed events that lie before the stream (`read_events`); asked once for a
        view, when its stream begins. They count, and are not said again.
      patience_s: How long a source that has nothing to read holds back the watermark of a view
        that has others, in seconds.
      poll_s: Pause when there is nothing to read, in seconds.

    Raises:
      BeamfleetError: a view has no such stream, changed under its version, or its events cannot be
        read; or another stream works on the state.
    """
    _check(views)
    ledger = Ledger(state)
    streams: list[ViewStream] = []
    interrupted = False
    try:
        for view in views:
            streams.append(ViewStream(view, online, ledger, root, history, patience_s))
        _run(streams, until_idle, at_idle, poll_s)
    except KeyboardInterrupt:
        interrupted = True
        for stream in streams:
            stream.reload()
    finally:
        reports = tuple(map(_report, streams))
        ledger.close()
    return StreamReport(reports, interrupted)


def _run(
    streams: Sequence[ViewStream],
    until_idle: bool,
    at_idle: Callable[[], datetime] | None,
    poll_s: float,
) -> None:
    said = time.monotonic()
    while True:
        read = [one.step() for one in streams]
        if time.monotonic() - said > _EVERY_S:
            said = time.monotonic()
            _tell(streams)
        if any(read):
            continue
        for one in streams:
            one.settle(at_idle() if at_idle else None)
        if until_idle and not any(one.is_patient() for one in streams):
            return
        time.sleep(poll_s)


def _check(views: Sequence[FeatureView]) -> None:
    names = [view.name for view in views]
    if not names or len(set(names)) < len(names):
        raise BeamfleetError(f"a stream is of {', '.join(names) or 'no view'}; expected each once")
    for view in views:
        for source in view.sources:
            if source.stream is None:
                raise BeamfleetError(
                    f"source {source.name!r} of view {view.name!r} has no stream; give it one: "
                    "Source(..., stream=JsonLines('folder'))"
                )
            next_block(source, {}, 1)  # says what is wrong before anything is done


def _report(stream: ViewStream) -> ViewReport:
    watermark = None if stream.watermark == BEFORE else utc(stream.watermark)
    view = stream.view
    return ViewReport(view.name, view.version, stream.counts, watermark, stream.unread_bytes())


def _tell(streams: Sequence[ViewStream]) -> None:
    for one in streams:
        counts = one.counts
        logging.getLogger(LOGGER).info(
            "%s: %s rows read, %s late, %s rejected, watermark %s",
            one.view.name, f"{counts.rows:,}", f"{counts.late:,}", f"{counts.rejected:,}",
            "none" if one.watermark == BEFORE else f"{utc(one.watermark):%Y-%m-%d %H:%M:%S}",
        )  # fmt: skip
