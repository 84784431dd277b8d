"""`beamfleet traffic`: who gets which requests, and what came of them."""

import argparse
import json
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from components.errors import BeamfleetError
from components.pusher.traffic import CHAMPION, Split
from components.pusher.versions import PushedVersions
from pipelines.pushed import pushed_directory
from pipelines.render import console, escaped, figure, number, plain_table

_TIMEOUT_S = 5.0
_MAX_ANSWER = 10_000_000
_SHOWN_VALUES = 5


def main(arguments: argparse.Namespace) -> int:
    """Prints the split that CURRENT names, beside the counts of a running server."""
    directory = pushed_directory(arguments.models)
    champion, split = PushedVersions(directory).traffic()
    if champion is None:
        raise BeamfleetError(f"nothing was pushed to {directory} yet")
    numbers = {CHAMPION: champion.number, **(dict(split.versions) if split else {})}
    counts, problem = _counts(arguments.server, arguments.model_name, numbers, split)
    if arguments.json:
        print(json.dumps(_document(directory, numbers, split, counts, problem)))
        return 0
    terminal = console()
    terminal.print(_table(numbers, split, counts))
    for line in _said(split):
        terminal.print(escaped(line))
    if problem:
        terminal.print(f"[yellow]{escaped(problem)}[/]")
    return 0


def _counts(
    server: str, name: str, numbers: Mapping[str, int], split: Split | None
) -> tuple[dict[str, Any], str]:
    """Label -> counts of the server, and why there are none."""
    try:
        content = _asked(f"{server.rstrip('/')}/v2/models/{name}/traffic")
        found = {str(one["label"]): dict(one) for one in content["variants"]}
        served = {label: str(one["version"]) for label, one in found.items()}
        problem, there = str(content["failure"]), str(content["split"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        reason = getattr(error, "reason", error)
        return {}, f"no counts: {server} does not answer ({reason}); name the server by --server"
    wanted = {label: str(version) for label, version in numbers.items()}
    other = there and split and there != split.id
    if other or not served.items() <= wanted.items():
        return {}, (
            f"no counts: {server} serves versions {', '.join(served.values())}: another directory, "
            "or it has not seen the last change yet"
        )
    return found, problem


def _asked(url: str) -> Any:
    if not re.match(r"https?://", url):
        raise BeamfleetError(f"--server takes an address such as http://127.0.0.1:8080, got {url}")
    with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:  # noqa: S310  (http only)
        return json.loads(answer.read(_MAX_ANSWER))


def _document(
    directory: str,
    numbers: Mapping[str, int],
    split: Split | None,
    counts: Mapping[str, Any],
    problem: str,
) -> dict[str, Any]:
    terms = split.to_dict() if split else None
    state = split.state() if split else "none"
    variants = [
        {"label": label, "version": version, "counts": counts.get(label)}
        for label, version in numbers.items()
    ]
    return {
        "directory": directory,
        "state": state,
        "traffic": terms,
        "variants": variants,
        "problem": problem,
    }


def _table(numbers: Mapping[str, int], split: Split | None, counts: Mapping[str, Any]) -> Any:
    right = ("version", "share", "requests", "errors", "p50 ms", "p95 ms", "p99 ms")
    table = plain_table("label", *right, right=right)
    table.add_column("predictions", overflow="fold")
    for label, version in numbers.items():
        one = counts.get(label, {})
        cells = [number(one[key]) if one else "-" for key in ("requests", "errors")]
        cells += [figure(one.get(key)) for key in ("p50_ms", "p95_ms", "p99_ms")]
        table.add_row(label, str(version), _share(label, split), *cells, _predictions(one))
    return table


def _share(label: str, split: Split | None) -> str:
    runs = split is not None and split.state() == "running"
    if split is None or not runs:
        return "100%" if label == CHAMPION else "0%"
    if split.plan.shadow and label != CHAMPION:
        return "shadow"
    shares = dict(split.plan.shares)
    return f"{100 * shares[label] / sum(shares.values()):.4g}%"


def _predictions(one: Mapping[str, Any]) -> str:
    counted = sorted((one.get("predictions") or {}).items(), key=lambda pair: -pair[1])
    total = sum(count for _, count in counted)
    parts = [f"{escaped(word)} {100 * count / total:.3g}%" for word, count in counted]
    if one.get("mean_prediction") is not None:
        spread = figure(one["std_prediction"])
        parts.append(f"mean {figure(one['mean_prediction'])}, deviation {spread}")
    if one.get("shadow_compared"):
        share = 100 * one["shadow_different"] / one["shadow_compared"]
        parts.append(f"unlike the champion {share:.3g}%")
    more = len(parts) - _SHOWN_VALUES
    return ", ".join(parts[:_SHOWN_VALUES]) + (f" and {more} more" if more > 0 else "")


def _said(split: Split | None) -> list[str]:
    """What the table has no room for."""
    if split is None:
        return []
    plan, lines = split.plan, [f"the split is {split.state()}"]
    if split.stopped:
        lines[0] += f" since {split.stopped_at}: {split.stopped}"
    if plan.start or plan.end:
        start = plan.start.isoformat() if plan.start else "(now)"
        lines.append(f"from {start} until {plan.end.isoformat() if plan.end else '(open)'}")
    if plan.stop_rule:
        rule = ", ".join(f"{name} {value:g}" for name, value in plan.stop_rule.to_dict().items())
        lines.append(f"stops by itself at {rule}")
    return lines
