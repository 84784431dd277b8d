"""What `beamfleet features skew` and `beamfleet features watch` take."""

import argparse
from typing import Any

Actions = Any
"""argparse's own subparsers: a private type."""


def add_skew(actions: Actions) -> None:
    """Adds `skew`."""
    parser = _add(
        actions,
        "skew",
        "compare the feature vectors that were served with the backfill",
        "user_code.payments.fraud --store runs/payments --start 2024-05-20 --end 2024-05-21",
        "user_code.payments.fraud --store runs/payments --max-share 0.001 --json",
    )
    parser.add_argument("--start", metavar="TIME", help="served from then on (a day before --end)")
    parser.add_argument("--end", metavar="TIME", help="served before then (now)")
    parser.add_argument(
        "--max-share",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="share of a feature's rows that may differ; more is an alarm, and status 1 (0)",
    )


def add_watch(actions: Actions) -> None:
    """Adds `watch`."""
    parser = _add(
        actions,
        "watch",
        "look at every entity's model after the push: accuracy, AUC, drift; alert, roll back",
        "user_code.payments.fraud --store runs/payments --models runs/payments --wait 7d",
        "user_code.payments.fraud --store runs/payments --models runs/payments \\\n"
        "      --webhook env:SLACK_WEBHOOK --rollback --page watch.html",
    )
    text = "pushed directory, or the root of the runs that push there"
    parser.add_argument("--models", required=True, metavar="DIR", help=text)
    text = "training rows to compare with, Parquet (the newest training set of the store)"
    parser.add_argument("--training", metavar="PATH", help=text)
    _when(parser)
    _limits(parser)
    text = "env:NAME or file:PATH that holds the address alerts are posted to"
    parser.add_argument("--webhook", metavar="PLACE", help=text)
    text = "give an entity that is worse the model that it had before, once for each push"
    parser.add_argument("--rollback", action="store_true", help=text)
    parser.add_argument("--page", metavar="FILE", help="write an HTML page of it, too")


def _when(parser: argparse.ArgumentParser) -> None:
    text = "how long after its prediction a label may come; younger ones are not judged (0s)"
    parser.add_argument("--wait", default="0s", metavar="LENGTH", help=text)
    text = "match labels without an id by keys and time, at most so far apart"
    parser.add_argument("--within", metavar="LENGTH", help=text)
    text = "windows of the figures over time (1d)"
    parser.add_argument("--every", default="1d", metavar="LENGTH", help=text)


def _limits(parser: argparse.ArgumentParser) -> None:
    text = "rows of an entity below which nothing is said (100)"
    parser.add_argument("--min-rows", type=int, default=100, metavar="ROWS", help=text)
    text = "that a look at all entities raises no false alarm (0.99)"
    parser.add_argument("--confidence", type=float, default=0.99, metavar="SHARE", help=text)
    text = "loss of accuracy or AUC against the evaluation that is allowed (0.02)"
    parser.add_argument("--max-drop", type=float, default=0.02, metavar="DROP", help=text)
    text = "largest distance from training that is allowed, 0 to 1 (0.1)"
    parser.add_argument("--max-drift", type=float, default=0.1, metavar="DISTANCE", help=text)
    parser.add_argument(
        "--min",
        action="append",
        default=[],
        metavar="METRIC=VALUE",
        help="least accuracy or auc, whatever the evaluation said; repeatable",
    )


def _add(actions: Actions, name: str, text: str, *examples: str) -> argparse.ArgumentParser:
    lines = "\n".join(f"  beamfleet features {name} {example}" for example in examples)
    parser: argparse.ArgumentParser = actions.add_parser(
        name, help=text, description=f"{text[0].upper()}{text[1:]}.", epilog=f"examples:\n{lines}"
    )
    parser.add_argument("service", metavar="SERVICE", help="such as user_code.payments.fraud")
    text = "root of a feature store, or of a pipeline's runs"
    parser.add_argument("--store", required=True, metavar="ROOT", help=text)
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser
