"""`beamfleet features stream`: keeps values up to date while events come."""

import argparse
import json
import logging
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from components.errors import BeamfleetError
from components.progress import LOGGER
from components.times import moment
from pipelines.feature_stores import store_root
from pipelines.render import console, escaped, plain_table

if TYPE_CHECKING:
    from components.feature_stream import StreamReport

_INTERRUPTED = 130
_COUNTS = ("rows", "events", "late", "duplicates", "rejected", "filtered", "changes")


def main(arguments: argparse.Namespace) -> int:
    """Streams until it is stopped, or idle; prints what it did."""
    moved = _at_idle(arguments.at_idle)
    # Imported here: polars and the user's declarations.
    from components.feature_computer.declared import declared, views_of
    from components.feature_stream import run_stream
    from components.online_store import online_store_of, open_online_store

    views = dict.fromkeys(view for name in arguments.features for view in views_of(declared(name)))
    root = store_root(arguments.store)
    online = open_online_store(arguments.online) if arguments.online else online_store_of(root)
    history = None
    if arguments.after_history:
        from components.feature_backfill.logs import read_events

        def history(view):  # type: ignore[no-untyped-def]
            return read_events(view, root)

    if not arguments.json:
        _listen()
    try:
        report = run_stream(
            list(views), online, root / "stream.db", root, until_idle=arguments.until_idle,
            at_idle=moved, history=history, patience_s=arguments.patience,
        )  # fmt: skip
    finally:
        online.close()
    _print(report, arguments.json)
    return _INTERRUPTED if report.interrupted else 0


def _at_idle(given: str) -> Callable[[], datetime] | None:
    if given == "stay":
        return None
    if given == "now":
        return lambda: datetime.now(UTC)
    try:
        fixed = moment(given, "--at-idle")
    except BeamfleetError as error:
        raise BeamfleetError(f"{error}, or stay, or now") from None
    return lambda: fixed


def _listen() -> None:
    """Progress goes to stderr, a line at a time."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logger = logging.getLogger(LOGGER)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)


def _print(report: "StreamReport", as_json: bool) -> None:
    if as_json:
        print(json.dumps(asdict(report), default=datetime.isoformat))
        return
    table = plain_table("view", *_COUNTS, "watermark", right=_COUNTS)
    for one in report.views:
        counts = [f"{getattr(one.counts, name):,}" for name in _COUNTS]
        table.add_row(
            escaped(f"{one.view}@{one.version}"), *counts,
            f"{one.watermark:%Y-%m-%d %H:%M:%S}" if one.watermark else "none",
        )  # fmt: skip
    console().print("in all runs on this store:")
    console().print(table)
    for one in report.views:
        if one.unread_bytes:
            print(f"{one.view}: {one.unread_bytes:,} bytes are a line without its end; it is read "
                  "once it has one")  # fmt: skip
