"""`beamfleet features watch`: one look at every entity's model after the push."""

import argparse
import json
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import BeamfleetError
from pipelines.alerts import check_webhook, send
from pipelines.monitoring import declared_service, served_root
from pipelines.pushed import pushed_directory
from pipelines.render import console, escaped, figure, number, plain_table, shown

if TYPE_CHECKING:
    import polars as pl

    from components.feature_monitor.accuracy import Judged
    from components.feature_monitor.config import WatchConfig
    from components.feature_monitor.look import Look, Watched
    from components.features.service import FeatureService

_STYLES = {"worse": "bold red", "drifted": "yellow", "fine": "green"}
_MOST_CHARACTERS = 3_000


def main(arguments: argparse.Namespace) -> int:
    """Looks, alerts, rolls back if asked, and writes down what was decided; 1 on an alarm."""
    if arguments.webhook:
        check_webhook(arguments.webhook)
    root, directory = served_root(arguments.store), pushed_directory(arguments.models)
    service = declared_service(arguments.service)
    from components.feature_monitor.decisions import record
    from components.feature_monitor.look import act, look

    watched = _watched(arguments, service, root, directory)
    found = look(watched, _config(arguments))
    lines = act(watched, found, rollback=arguments.rollback)
    alert = _alerted(arguments.webhook, service.name, lines) if found.bad else ""
    for line in lines:
        if line["kind"] == "entity" and line["action"] != "none":
            line["alert"] = alert
    record(root, service.name, lines)
    page = _page(arguments.page, service.name, found, lines)
    if arguments.json:
        print(json.dumps(_document(found, lines, page), default=str))
    else:
        _show(service.name, found, lines, page)
    return 1 if found.bad else 0


def _watched(
    arguments: argparse.Namespace, service: "FeatureService", root: Path, directory: str
) -> "Watched":
    from components.feature_monitor.labels import read_labels
    from components.feature_monitor.look import Watched

    return Watched(
        service=service,
        root=root,
        directory=directory,
        labels=read_labels(service) if service.labels and service.label else None,
        reference=_training(arguments.training, service, root),
        wait=_length(arguments.wait, "--wait"),
        within=_length(arguments.within, "--within") if arguments.within else None,
        every=_length(arguments.every, "--every"),
    )


def _training(given: str | None, service: "FeatureService", root: Path) -> "pl.DataFrame | None":
    """The rows of training; None: neither were any named nor does the store have a training set."""
    import polars as pl

    from components.feature_store.split_files import numbers, read_split

    if given is None:
        there = numbers(root, service)
        return read_split(root, service, there[-1], "train") if there else None
    path = Path(given)
    files = sorted(path.rglob("*.parquet")) or sorted(path.rglob("*")) if path.is_dir() else [path]
    try:
        return pl.concat(map(pl.read_parquet, files), how="diagonal_relaxed")
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        raise BeamfleetError(
            f"--training {given} cannot be read as Parquet: {str(error).splitlines()[0]}"
        ) from None


def _config(arguments: argparse.Namespace) -> "WatchConfig":
    from components.feature_monitor.config import WatchConfig

    minimum = {}
    for given in arguments.min:
        metric, _, value = given.partition("=")
        try:
            minimum[metric] = float(value)
        except ValueError:
            raise BeamfleetError(f"--min is {given!r}, expected METRIC=VALUE") from None
    return WatchConfig(
        arguments.min_rows, arguments.confidence, arguments.max_drop, minimum, arguments.max_drift
    )


def _length(text: str, what: str) -> timedelta:
    from components.features.durations import microseconds

    return timedelta(microseconds=microseconds(text, what))


def _alerted(webhook: str | None, service: str, lines: list[dict[str, Any]]) -> str:
    """What became of the alert, in words."""
    if not webhook:
        return "no webhook was given"
    said = [f"*features watch* {shown(service)}: version {lines[0]['model_version']}"]
    for line in lines:
        if line.get("action", "none") != "none":
            said.append(shown(f"{line['entity']}: {line['verdict']}: {line['why']}"))
            said.append(shown(f"    {line['action']}"))
    failure = send(webhook, "\n".join(said)[:_MOST_CHARACTERS])
    return f"could not be sent: {failure}" if failure else "sent"


def _page(
    given: str | None, service: str, found: "Look", lines: list[dict[str, Any]]
) -> Path | None:
    if not given:
        return None
    from components.files import write_whole
    from pipelines.report.watch_page import watch_page

    path = Path(given).absolute()
    write_whole(str(path), watch_page(service, found, lines).encode())
    return path


def _document(found: "Look", lines: list[dict[str, Any]], page: Path | None) -> dict[str, Any]:
    look, *entities = lines
    return {
        **look,
        "new_data": found.is_new,
        "last_look": found.last,
        "alarms": [one.entity for one in found.bad],
        "entities": entities,
        "over_time": found.over_time,
        "page": str(page) if page else None,
    }


def _show(service: str, found: "Look", lines: list[dict[str, Any]], page: Path | None) -> None:
    out = console()
    since = f", {number(found.new_rows)} since {found.last:%Y-%m-%d %H:%M}" if found.last else ""
    out.print(
        f"{escaped(service)}: version {found.pushed.version} served {number(found.rows)} "
        f"rows{since}"
    )
    if not found.is_new:
        out.print("[yellow]no new data since the last look[/]")
    right = ("rows", "labelled", "accuracy", "evaluated", "AUC", "drift")
    table = plain_table("entity", "verdict", *right, right=right)
    for one in found.verdicts:
        metrics = {judged.metric: judged for judged in one.metrics}
        drift = one.drift[0] if one.drift else None
        style = _STYLES.get(one.verdict, "dim")
        table.add_row(
            escaped(one.entity), f"[{style}]{one.verdict}[/]", number(one.rows),
            number(one.labelled), _estimate(metrics.get("accuracy")),
            _evaluated(metrics.get("accuracy")), _estimate(metrics.get("auc")),
            escaped(f"{drift.distance:.2g} {drift.column}") if drift else "-",
        )  # fmt: skip
    out.print(table)
    for text in _notes(found, lines):
        out.print(text)
    if page:
        out.print(escaped(str(page)))


def _notes(found: "Look", lines: list[dict[str, Any]]) -> list[str]:
    notes = []
    for line in lines:
        if line.get("action", "none") != "none":
            notes.append(f"[bold]{escaped(line['entity'])}[/]: {escaped(line['why'])}")
            notes.append(f"  {escaped(line['action'])}; alert: {escaped(line['alert'])}")
    if found.labels:
        counts = {name.replace("_", " "): count for name, count in found.labels.items() if count}
        notes.append(", ".join(f"{name} {number(count)}" for name, count in counts.items()))
    notes += [f"{number(rows)} rows not logged: {escaped(w)}" for w, rows in found.losses.items()]
    for version, rows in found.other_versions.items():
        notes.append(f"{number(rows)} rows were served by version {escaped(version)}: not judged")
    return notes + [f"not looked at: {escaped(text)}" for text in found.not_looked_at]


def _estimate(one: "Judged | None") -> str:
    if one is None:
        return "-"
    return f"{figure(one.live.value)} ({one.live.low:.3f} to {one.live.high:.3f})"


def _evaluated(one: "Judged | None") -> str:
    return figure(one.baseline.value) if one and one.baseline else "-"
