"""`beamfleet export --to mlflow|openlineage`: what a run did, for those who look elsewhere."""

import argparse
import json
import logging
import os
from pathlib import Path

from components.errors import BeamfleetError
from pipelines.checks import check_installed
from pipelines.credentials import without_credentials
from pipelines.finding import find_run
from pipelines.metadata import Run
from pipelines.render import shown

_SCHEMES = ("http://", "https://")


def main(arguments: argparse.Namespace) -> int:
    """Exports one run, and says where it is."""
    check_installed("export")
    if arguments.url and not arguments.url.startswith(_SCHEMES):
        raise BeamfleetError(
            f"--url is {without_credentials(arguments.url)!r}, expected http:// or https://"
        )
    run = find_run(arguments.what, Path("runs"))
    logging.disable(logging.WARNING)  # their libraries tell addresses
    export = _mlflow if arguments.to == "mlflow" else _openlineage
    try:
        said = export(run, arguments)
    except BeamfleetError:
        raise
    except Exception as error:
        place = arguments.out or arguments.url
        text = without_credentials(f"{place}: {type(error).__name__}: {error}")
        raise BeamfleetError(f"run {run.run_id} was not exported to {text}") from None
    finally:
        logging.disable(logging.NOTSET)
    said = {"run": run.run_id, "to": arguments.to, **said}
    print(json.dumps(said) if arguments.json else shown(said["text"]))
    return 0


def _mlflow(run: Run, arguments: argparse.Namespace) -> dict[str, str]:
    from pipelines.export_mlflow import export_to_mlflow

    made = export_to_mlflow(run, arguments.url or Path(arguments.out).absolute().as_uri())
    where = without_credentials(arguments.url or arguments.out)
    text = f"run {run.run_id} is MLflow run {made} of experiment {run.pipeline!r} in {where}"
    if arguments.out:
        text += f"\nlook: MLFLOW_ALLOW_FILE_STORE=true mlflow ui --backend-store-uri {where}"
    return {"mlflow_run": made, "place": where, "text": text}


def _openlineage(run: Run, arguments: argparse.Namespace) -> dict[str, str]:
    from pipelines.export_openlineage import lineage_events, send_events, write_events

    events = lineage_events(run)
    if arguments.url:
        send_events(events, arguments.url, os.environ.get("OPENLINEAGE_API_KEY"))
    else:
        write_events(events, Path(arguments.out))
    where = without_credentials(arguments.url or arguments.out)
    text = f"{len(events)} OpenLineage events of run {run.run_id} are in {where}"
    return {"events": str(len(events)), "place": where, "text": text}
