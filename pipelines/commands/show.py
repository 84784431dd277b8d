"""`beamfleet show`: one run, its nodes, artifacts and summary."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from pipelines import metadata
from pipelines.finding import find_run
from pipelines.render import STATE_STYLES, console, duration, escaped, plain_table
from pipelines.summary import summarise
from pipelines.summary_view import show_summary


def main(arguments: argparse.Namespace) -> int:
    """Prints what ML Metadata and the artifacts say of one run."""
    run = find_run(arguments.run, Path(arguments.root))
    summary = summarise(run)
    if arguments.json:
        nodes = [asdict(node) for node in run.nodes]
        print(json.dumps({**summary.to_dict(), "nodes": nodes}))
        return 0
    terminal = console()
    terminal.print(_nodes(run))
    for node in run.nodes:
        if node.error:
            terminal.print(f"[bold red]{node.name}[/]: {escaped(node.error)}", markup=True)
    show_summary(summary, terminal, everything=arguments.all)
    return 0


def _nodes(run: metadata.Run) -> object:
    table = plain_table("node", "state", "time", "CPU", "memory", right=("time", "CPU", "memory"))
    table.add_column("outputs", overflow="fold")
    for node in run.nodes:
        outputs = "\n".join(f"{a.key}: {a.type} {a.uri}" for a in node.outputs)
        state = f"[{STATE_STYLES[node.state]}]{node.state}[/]"
        cpu = "-" if node.cpu_seconds is None else duration(node.cpu_seconds)
        memory = "-" if node.peak_mb is None else f"{node.peak_mb:,.0f} MB"
        table.add_row(node.name, state, duration(node.seconds), cpu, memory, outputs)
    return table
