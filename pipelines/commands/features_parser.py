"""What `beamfleet features` takes: a function for each subcommand, which is a module of that name.

A new one: a function here, its place in SUBCOMMANDS, and `main` in `features_<name>.py`.
"""

import argparse
from typing import Any

from pipelines.commands.features_monitor_parser import add_skew, add_watch

Actions = Any
"""argparse's own subparsers: a private type."""


def add_features(commands: Actions) -> None:
    """Adds `features` and its subcommands to the commands of `beamfleet`."""
    parser = commands.add_parser(
        "features",
        help="look up feature views, their versions, and which models read them",
        description="Looks up what is registered in a feature store: sources, views, services.",
        epilog="examples:\n  beamfleet features list --store runs/payments\n"
        "  beamfleet features search 'spend card' --store runs/payments\n"
        "  beamfleet features show card_spend@3 --store runs/payments",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for add in SUBCOMMANDS:
        add(actions)


def _list(actions: Actions) -> None:
    examples = ("--store runs/payments", "--store runs/payments --kind service --all-versions")
    parser = _add(actions, "list", "list what is registered, in its newest version", *examples)
    kinds = ("entity", "source", "view", "group", "on_demand", "service")
    parser.add_argument("--kind", choices=kinds, help="only these")
    parser.add_argument("--all-versions", action="store_true", help="older versions too")
    _store(parser)


def _search(actions: Actions) -> None:
    text = "search names, features, columns, sources, owners and descriptions"
    parser = _add(actions, "search", text, "'card mean' --store runs/payments")
    parser.add_argument("text", metavar="TEXT", help="words that all have to occur")
    _store(parser)


def _show(actions: Actions) -> None:
    text = "show one: schema, code, what it reads, who reads it, which models"
    examples = ("card_spend --store runs/payments", "card_spend@2 --store runs/payments --json")
    parser = _add(actions, "show", text, *examples)
    parser.add_argument("name", metavar="NAME[@VERSION]", help="(the newest version)")
    _store(parser)


def _diff(actions: Actions) -> None:
    text = "show what two versions differ in, field by field, of code line by line"
    parser = _add(actions, "diff", text, "card_spend 2 3 --store runs/payments")
    parser.add_argument("name", metavar="NAME")
    for name in "ab":
        parser.add_argument(name, metavar=name.upper(), type=int, help="a version")
    _store(parser)


def _export(actions: Actions) -> None:
    text = "export the views with their history as a repository of feast"
    parser = _add(actions, "export", text, "--store runs/payments --out feast_repo")
    parser.add_argument("--out", required=True, metavar="DIR", help="new or empty folder")
    _store(parser)


def _serve(actions: Actions) -> None:
    text = "serve the feature vectors of a service over HTTP"
    parser = _add(actions, "serve", text, "--store features --service user_code.payments.fraud")
    add = parser.add_argument
    add("--store", metavar="ROOT", required=True, help=_ROOT)
    service = "dotted path of a FeatureService, such as user_code.payments.fraud"
    add("--service", metavar="NAME", required=True, help=service)
    add("--split", metavar="N", type=int, help="transform with what this training split fitted")
    add("--host", default="127.0.0.1", help="address to listen on; there is no login (%(default)s)")
    add("--port", type=int, default=8090, help="0 takes a free one (%(default)s)")
    add("--json", action="store_true", help="print JSON")


def _stream(actions: Actions) -> None:
    text = "keep the values of views up to date while their events come"
    example = "--store features --features user_code.payments.fraud"
    parser = _add(actions, "stream", text, f"{example} --until-idle", f"{example} --at-idle now")
    add = parser.add_argument
    add("--store", metavar="ROOT", required=True, help=_ROOT)
    named = "dotted path of a feature view, or of a service for all its views; may be repeated"
    add("--features", metavar="NAME", action="append", required=True, help=named)
    add(
        "--online",
        metavar="URI",
        help="online store (default: $BEAMFLEET_ONLINE_STORE, or online.db in the store)",
    )
    add("--until-idle", action="store_true", help="end when there is nothing more to read")
    idle = "where the watermark goes then: stay, now, or a time in ISO 8601 (%(default)s)"
    add("--at-idle", default="stay", metavar="WHEN", help=idle)
    after = "begin with the events of the backfill, made as of the time when the stream begins"
    add("--after-history", action="store_true", help=after)
    held = "how long a source without new events holds back views of several (%(default)s)"
    add("--patience", type=float, default=0.0, metavar="SECONDS", help=held)
    add("--json", action="store_true", help="print JSON")


_ROOT = "root of a feature store, or of a pipeline's runs"
SUBCOMMANDS = (_list, _search, _show, _diff, _export, _serve, _stream, add_skew, add_watch)
"""In the order in which `--help` lists them."""


def _add(actions: Actions, name: str, text: str, *examples: str) -> argparse.ArgumentParser:
    lines = "\n".join(f"  beamfleet features {name} {example}" for example in examples)
    parser: argparse.ArgumentParser = actions.add_parser(
        name, help=text, description=f"{text[0].upper()}{text[1:]}.", epilog=f"examples:\n{lines}"
    )
    return parser


def _store(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--store", metavar="ROOT", help=_ROOT)
    parser.add_argument("--json", action="store_true", help="print JSON")
