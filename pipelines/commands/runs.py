"""`beamfleet runs`: what ran, when, for how long and with what end."""

import argparse
import json
from pathlib import Path

from components.errors import BeamfleetError
from pipelines import metadata
from pipelines.render import STATE_STYLES, clock, console, duration, plain_table


def main(arguments: argparse.Namespace) -> int:
    """Lists the runs of one root, or of all roots below a folder; the newest last."""
    roots = metadata.find_roots(Path(arguments.root))
    if not roots:
        raise BeamfleetError(f"no runs below {arguments.root}; start one with `beamfleet run`")
    runs = [run for root in roots for run in metadata.read_runs(root)]
    if arguments.json:
        print(json.dumps([_document(run) for run in runs]))
        return 0
    table = plain_table("run", "pipeline", "state", "started", "time", "nodes", "root")
    for run in runs:
        state = f"[{STATE_STYLES[run.state]}]{run.state}[/]"
        cached = sum(node.state == "cached" for node in run.nodes)
        nodes = f"{len(run.nodes)}" + (f" ({cached} cached)" if cached else "")
        table.add_row(
            run.run_id, run.pipeline, state, clock(run.started), duration(run.seconds), nodes,
            run.root,
        )  # fmt: skip
    console().print(table)
    return 0


def _document(run: metadata.Run) -> dict[str, object]:
    return {
        "run": run.run_id,
        "pipeline": run.pipeline,
        "root": run.root,
        "state": run.state,
        "started": run.started,
        "seconds": round(run.seconds, 3),
        "nodes": {node.name: node.state for node in run.nodes},
    }
