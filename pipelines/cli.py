"""The command `beamfleet`. Nothing heavy is imported here: `--help` and refusals are instant."""

import argparse
import importlib
import json
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeAlias

from components.errors import BeamfleetError
from pipelines.commands.features_parser import add_features
from pipelines.render import shown
from pipelines.spelling import meant

Commands: TypeAlias = "argparse._SubParsersAction[_Parser]"
_RAW = argparse.RawDescriptionHelpFormatter


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one subcommand; the exit status is 0, 1 for what the user can mend, 2 for bad usage."""
    parser = _parser()
    parsed = parser.parse_args(arguments)
    if parsed.command is None:
        parser.print_help(sys.stderr)
        return 2
    command: Callable[[argparse.Namespace], int] = _command(parsed.command)
    try:
        return command(parsed)
    except BeamfleetError as error:
        print(f"beamfleet: {shown(str(error))}", file=sys.stderr)
        if getattr(parsed, "json", False):  # whoever reads JSON gets JSON
            print(json.dumps({"error": str(error)}))
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # `beamfleet show ... | head`: the reader has what it wanted.
        sys.stderr.close()
        return 0


def _command(name: str) -> Callable[[argparse.Namespace], int]:
    module = importlib.import_module(f"pipelines.commands.{name}")
    return module.main  # type: ignore[no-any-return]


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="beamfleet",
        description="Trains, evaluates, validates, pushes and serves models: one for each entity, "
        "or\nseveral as one, such as BLIP and CLIP for captions of images.",
        epilog="examples:\n  beamfleet run census\n  beamfleet run captions --images ~/photos\n"
        "  beamfleet show",
    )
    parser.add_argument("--version", action=_Version, help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    look = (_list, _runs, _show, _report, _compare, _lineage, _tensorboard, _schema)
    delivery = (_predict, _serve, _traffic, _promote, _rollback, _approve)
    for add in (_run, _watch, *look, add_features, *delivery, _export, _init):
        add(commands)
    return parser


class _Parser(argparse.ArgumentParser):
    """Takes no abbreviations, and says of a misspelt word which one was meant."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False, formatter_class=_RAW)

    def error(self, message: str) -> NoReturn:
        if found := re.search(r"invalid choice: '(.*)' \(choose from (.*)\)", message):
            message += meant(found[1], re.findall(r"[\w-]+", found[2]))
        super().error(message)


class _Version(argparse.Action):
    """Looks the version up only when it is asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib import metadata

        try:
            version = metadata.version("beamfleet")
        except metadata.PackageNotFoundError:
            version = "of an unknown version (run from its folder, not installed)"
        print(f"beamfleet {version}")
        parser.exit()


def _add(commands: Commands, name: str, text: str, *examples: str) -> argparse.ArgumentParser:
    return commands.add_parser(
        name,
        help=text,
        description=text[0].upper() + text[1:] + ".",
        epilog="examples:\n" + "\n".join(f"  beamfleet {name} {e}".rstrip() for e in examples),
    )


def _run(commands: Commands) -> None:
    parser = _add(
        commands,
        "run",
        "run a pipeline, from data to pushed models",
        "census",
        "census --data ~/adult.data --root /tmp/adult",
        "captions --images ~/photos --blip Salesforce/blip-image-captioning-base",
        "shop",
    )
    _run_options(parser)
    _json(parser, "print the summary as one JSON document and no progress")


def _watch(commands: Commands) -> None:
    parser = _add(
        commands,
        "watch",
        "run a pipeline whenever there are other rows to read, such as a new span",
        "taxi",
        "shop --every 60",
    )
    _run_options(parser)
    parser.add_argument(
        "--every",
        type=float,
        default=30.0,
        metavar="SECONDS",
        help="how often to look; files are read once they have not changed between two looks (30)",
    )


def _run_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "pipeline", help="a name from `beamfleet list`, a Python file, or a folder's pipeline.py"
    )
    parser.add_argument("--data", metavar="PATH", help="rows to use instead of the pipeline's own")
    parser.add_argument("--eval-data", metavar="PATH", help="rows to evaluate on, given apart")
    parser.add_argument(
        "--images",
        action="append",
        metavar="PLACE",
        help="captions: folder, pattern, .txt list, .tfrecord, image file or address; repeatable",
    )
    for model in ("blip", "clip"):
        parser.add_argument(
            f"--{model}",
            metavar="MODEL",
            help=f"captions: folder or hub name[@revision] of a {model.upper()} instead of ours",
        )
    parser.add_argument(
        "--allow-private",
        action="store_true",
        default=None,
        help="captions: fetch also from addresses that are not public",
    )
    parser.add_argument(
        "--root", metavar="DIR", help="folder of metadata, artifacts and logs (runs/<pipeline>)"
    )
    parser.add_argument(
        "--orchestrator", choices=("beam", "local"), default="beam", help="which of TFX's own"
    )
    parser.add_argument(
        "--beam-arg",
        action="append",
        default=[],
        metavar="ARG",
        help="Beam argument of every node, repeatable: --beam-arg=--runner=FlinkRunner",
    )


def _list(commands: Commands) -> None:
    _json(_add(commands, "list", "list the pipelines that come with beamfleet", "", "--json"))


def _runs(commands: Commands) -> None:
    parser = _add(commands, "runs", "list the runs", "", "--root runs/census", "--json")
    _root(parser)
    _json(parser)


def _show(commands: Commands) -> None:
    parser = _add(
        commands,
        "show",
        "show one run: its nodes, artifacts and summary",
        "",
        "20250131-120000 --root runs/census",
        "--all",
    )
    parser.add_argument("run", nargs="?", default="latest", help="name of a run (latest)")
    parser.add_argument("--all", action="store_true", help="list all entities, not only a pick")
    _root(parser)
    _json(parser)


def _compare(commands: Commands) -> None:
    parser = _add(
        commands,
        "compare",
        "compare two runs: parameters, code, data, metrics, slices, entities, seconds",
        "20250131-120000 latest",
        "runs/census /tmp/census",
        "20250131-120000 20250201-120000 --root runs/census --json",
    )
    for name in "ab":
        parser.add_argument(
            name, metavar="RUN", help="name of a run, ROOT/NAME, `latest`, or a root: its latest"
        )
    _root(parser)
    _json(parser)


def _lineage(commands: Commands) -> None:
    parser = _add(
        commands,
        "lineage",
        "show what made an artifact, and what was made from it",
        "runs/census/pushed/1 --up",
        "runs/census/artifacts/ExampleGen/examples/1 --down",
        "6 --root runs/census --json",
    )
    parser.add_argument(
        "artifact",
        metavar="ARTIFACT",
        help="folder of an artifact or a path in it, a pushed version's folder, or an id",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--up", action="store_true", help="only what made it")
    which.add_argument("--down", action="store_true", help="only what was made from it")
    _root(parser)
    _json(parser)


def _tensorboard(commands: Commands) -> None:
    parser = _add(
        commands,
        "tensorboard",
        "show the training curves of a run in TensorBoard, on this machine only",
        "latest --root runs/taxi",
        "20250131-120000 --port 6007",
    )
    parser.add_argument("run", nargs="?", default="latest", help="name of a run (latest)")
    parser.add_argument("--port", type=int, default=6006, help="0 takes any free one (6006)")
    _root(parser)


def _report(commands: Commands) -> None:
    parser = _add(
        commands,
        "report",
        "write the report of one run: one HTML file that needs no network",
        "",
        "20250131-120000 --root runs/census --out report.html",
    )
    parser.add_argument("run", nargs="?", default="latest", help="name of a run (latest)")
    parser.add_argument("--out", metavar="FILE", help="(<root>/reports/<run>.html)")
    _root(parser)
    _json(parser, "print the file and its size as JSON")


def _predict(commands: Commands) -> None:
    parser = _add(
        commands,
        "predict",
        "predict rows with the pushed models",
        "runs/census/pushed new_rows.csv",
        "runs/census/pushed rows.json --json",
    )
    _models(parser)
    text = "CSV with a header, or a JSON list of objects; columns as after `clean`"
    parser.add_argument("rows", help=text)
    parser.add_argument("--version", type=int, help="a pushed version (the current one)")
    _json(parser)


def _serve(commands: Commands) -> None:
    parser = _add(
        commands,
        "serve",
        "serve the pushed models over HTTP (Open Inference Protocol V2)",
        "runs/census/pushed --port 8080",
    )
    _models(parser)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, default=8080, help="port to listen on (8080)")
    parser.add_argument("--model-name", default="model", help="name in /v2/models/NAME/infer")
    parser.add_argument("--version", type=int, help="a pushed version (follows the current one)")
    logged = (
        "log vectors and predictions in served/ of the feature store, for features skew and watch"
    )
    parser.add_argument("--log-served", action="store_true", help=logged)


def _rollback(commands: Commands) -> None:
    parser = _add(
        commands,
        "rollback",
        "end a split and keep the champion, or make an earlier pushed version the current one",
        "runs/census/pushed",
        "runs/census/pushed --to 3 --why 'complaints from the north'",
        "runs/census/pushed --entity north --why 'fewer right answers'",
    )
    _models(parser)
    parser.add_argument(
        "--entity",
        action="append",
        metavar="KEY",
        help="give only this entity its earlier model, in a new version; repeatable",
    )
    text = "the version (the champion of a split, or the one before the current)"
    parser.add_argument("--to", type=int, metavar="VERSION", help=text)
    _why(parser)
    _json(parser)


def _promote(commands: Commands) -> None:
    parser = _add(
        commands,
        "promote",
        "make the challenger the champion, which gets all requests",
        "runs/census/pushed",
        "runs/census/pushed challenger --why 'a week without complaints'",
    )
    _models(parser)
    parser.add_argument("label", nargs="?", default="", help="(the challenger that there is)")
    _why(parser)
    _json(parser)


def _traffic(commands: Commands) -> None:
    parser = _add(
        commands,
        "traffic",
        "show which pushed versions get which requests, and what a server counted of them",
        "runs/census/pushed",
        "runs/census/pushed --server http://127.0.0.1:8081 --json",
    )
    _models(parser)
    parser.add_argument(
        "--server",
        default="http://127.0.0.1:8080",
        metavar="URL",
        help="where it is served (http://127.0.0.1:8080)",
    )
    parser.add_argument("--model-name", default="model", help="name in /v2/models/NAME (model)")
    _json(parser)


def _approve(commands: Commands) -> None:
    parser = _add(
        commands,
        "approve",
        "push what a run evaluated and what waits for a person, or reject it",
        "20250131-120000 --root runs/census --why 'checked the slices'",
        "20250131-120000 --root runs/census --reject --why 'worse at night'",
    )
    parser.add_argument("run", help="name of the run, from `beamfleet runs`")
    _root(parser)
    _why(parser, required=True)
    parser.add_argument("--by", default="", metavar="NAME", help="who decides (the user)")
    parser.add_argument("--reject", action="store_true", help="do not push it, ever")
    _json(parser)


def _export(commands: Commands) -> None:
    parser = _add(
        commands,
        "export",
        "export a run for MLflow or OpenLineage, or captioned images as pairs for training",
        "runs/census --to mlflow --out mlruns",
        "runs/census/20250131-120000 --to openlineage --out events.jsonl",
        "latest --to openlineage --url http://localhost:5000",
        "runs/captions --to webdataset --out pairs",
        "runs/captions --to imagefolder --out pairs --min-probability 0.8 --caption all",
    )
    parser.add_argument(
        "what",
        metavar="RUN",
        help="a root (its latest run), ROOT/RUN, or a run below `runs`; for images the root of "
        "runs that captioned them, or the folder of a result",
    )
    parser.add_argument(
        "--to",
        required=True,
        choices=("mlflow", "openlineage", "webdataset", "imagefolder"),
        help="tracking store; events; tar shards of images, or an image folder of Hugging Face",
    )
    parser.add_argument(
        "--out",
        metavar="PATH",
        help="mlflow: folder of a file store; openlineage: new file; images: new or empty folder",
    )
    parser.add_argument(
        "--url", help="server of mlflow or openlineage instead; keys: the environment, see docs"
    )
    parser.add_argument(
        "--min-probability", type=float, metavar="P", help="images: leave out the rest (0)"
    )
    parser.add_argument(
        "--caption",
        choices=("best", "all"),
        help="captions of an image (best); all: `text` of an imagefolder is a list, .txt has lines",
    )
    parser.add_argument(
        "--allow-private",
        action="store_true",
        help="images: fetch also from addresses that are not public",
    )
    _json(parser)


def _init(commands: Commands) -> None:
    parser = _add(
        commands,
        "init",
        "make a small project of your own, of your own rows if you name them",
        "shop && beamfleet run shop",
        "flowers --data iris.csv --label species && beamfleet run flowers",
        "prices --data diamonds.csv --label price --entity cut && beamfleet run prices",
    )
    parser.add_argument("directory", help="new or empty folder")
    parser.add_argument("--data", metavar="CSV", help="rows to learn from, with a header")
    parser.add_argument("--label", metavar="COLUMN", help="of --data: what is predicted")
    parser.add_argument(
        "--entity", metavar="COLUMN", help="of --data: one model for each value (one for all rows)"
    )


def _schema(commands: Commands) -> None:
    parser = _add(
        commands,
        "schema",
        "review what columns the rows have: start a schema, see and accept changes",
        "show",
        "init schema.pbtxt --root runs/taxi",
        "diff --root runs/taxi",
        "accept --root runs/taxi --column payment_type --why 'drivers take Mobile now'",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for action, text in (
        ("show", "print the schema that a run used, as a text proto"),
        ("init", "write the schema of a run to a file that people keep, for .with_schema(FILE)"),
        ("diff", "show what a run proposes to change of the reviewed schema"),
        ("accept", "take what a run proposes over into the reviewed file; keeps who and why"),
    ):
        epilog = "example:\n  beamfleet schema " + _SCHEMA_EXAMPLES[action]
        one = actions.add_parser(
            action, help=text, description=f"{text[0].upper()}{text[1:]}.", epilog=epilog
        )
        if action == "init":
            one.add_argument("file", metavar="FILE", help="new file, such as schema.pbtxt")
        one.add_argument("run", nargs="?", default="latest", help="name of a run (latest)")
        if action == "accept":
            text = "take over this column only, repeatable (all that are proposed)"
            one.add_argument("--column", action="append", metavar="NAME", help=text)
        if action in ("init", "accept"):
            one.add_argument("--by", metavar="WHO", help="who reviewed it (the user's name)")
            one.add_argument("--why", default="", metavar="WHY", help="a reason to keep")
        _root(one)
        _json(one)


_SCHEMA_EXAMPLES = {
    "show": "show --root runs/taxi",
    "init": "init schema.pbtxt --root runs/taxi",
    "diff": "diff 20250131-120000 --root runs/taxi",
    "accept": "accept --root runs/taxi --column payment_type --why 'drivers take Mobile now'",
}


def _models(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("models", help="pushed directory, or the root of runs that pushed there")


def _why(parser: argparse.ArgumentParser, required: bool = False) -> None:
    text = "reason, which is kept with your name and the time"
    parser.add_argument("--why", required=required, default="", metavar="TEXT", help=text)


def _root(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--root", default="runs", metavar="DIR", help="root of runs, or a folder of roots (runs)"
    )


def _json(parser: argparse.ArgumentParser, text: str = "print JSON") -> None:
    parser.add_argument("--json", action="store_true", help=text)


if __name__ == "__main__":
    sys.exit(main())
