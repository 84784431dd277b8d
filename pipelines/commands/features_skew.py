"""`beamfleet features skew`: were served vectors those of the backfill?"""

import argparse
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from components.times import moment
from pipelines.monitoring import declared_service, served_root
from pipelines.render import console, escaped, figure, number, plain_table

if TYPE_CHECKING:
    from components.feature_monitor.skew import SkewReport

_LISTED = 10
_COLUMNS = (
    "rows", "equal", "expired", "late", "stale", "differing", "missing online", "missing offline",
    "skew", "largest",
)  # fmt: skip


def main(arguments: argparse.Namespace) -> int:
    """Prints what was compared; 1 if a feature has more skew than is allowed, or nothing was."""
    root, service = served_root(arguments.store), declared_service(arguments.service)
    to, since = arguments.end, arguments.start
    end = datetime.now(UTC) if to is None else moment(to, "--end")
    start = end - timedelta(days=1) if since is None else moment(since, "--start")
    from components.feature_monitor.backfilled import stored_skew

    report = stored_skew(root, service, start, end, arguments.max_share)
    if arguments.json:
        print(json.dumps(report.to_dict(), default=_plain))
    else:
        _show(report)
    return 1 if report.alarms or not any(one.rows for one in report.features) else 0


def _show(report: "SkewReport") -> None:
    table = plain_table("feature", *_COLUMNS, right=_COLUMNS)
    for one in report.features:
        cells = [number(one.rows), *(number(count) for count in one.kinds.values())]
        share = f"{100 * one.share:.3g}%"
        shown = f"[bold red]{share}[/]" if one in report.alarms else share
        table.add_row(escaped(f"{one.view}.{one.feature}"), *cells, shown, figure(one.largest))
    out = console()
    out.print(
        f"{escaped(report.service)}: {number(report.rows)} rows served from "
        f"{report.start:%Y-%m-%d %H:%M} to {report.end:%Y-%m-%d %H:%M} UTC"
    )
    out.print(table)
    for line in _notes(report):
        out.print(line)


def _notes(report: "SkewReport") -> list[str]:
    notes = [f"{number(rows)} not compared: {why}" for why, rows in report.not_compared.items()]
    if report.not_logged:
        notes.append(f"[yellow]{number(report.not_logged)} rows were not logged[/]")
    if not report.rows:
        notes.append("nothing was served in that time: nothing is said about skew")
    elif not any(one.rows for one in report.features):
        notes.append("not one row was compared: nothing is said about skew")
    for one in report.alarms:
        kinds = ("stale", "differing", "missing_online", "missing_offline")
        examples = [e for e in one.examples if e["kind"] in kinds][:_LISTED]
        notes += [_example(f"{one.view}.{one.feature}", example) for example in examples]
    return notes


def _example(feature: str, example: Any) -> str:
    keys = ", ".join(f"{key} {value}" for key, value in example["keys"].items())
    said = (
        f"{feature} of {keys} at {example['time']:%Y-%m-%d %H:%M:%S}: served {example['online']}, "
        f"backfilled {example['offline']} ({example['kind'].replace('_', ' ')}, request "
        f"{example['request_id']})"
    )
    return escaped(said)


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else str(value)
