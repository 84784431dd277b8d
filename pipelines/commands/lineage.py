"""`beamfleet lineage`: what made an artifact, and what was made from it."""

import argparse
import json
from pathlib import Path

from pipelines.lineage_find import find_artifact
from pipelines.lineage_view import show_made_from, show_made_of
from pipelines.lineage_walk import Reached, ancestors, descendants, document
from pipelines.render import console, escaped


def main(arguments: argparse.Namespace) -> int:
    """Prints trees, or nodes and edges as JSON."""
    graph, artifact = find_artifact(arguments.artifact, Path(arguments.root))
    if arguments.json:
        up = Reached() if arguments.down else ancestors(graph, artifact.id)
        down = Reached() if arguments.up else descendants(graph, artifact.id)
        print(json.dumps({"artifact": artifact.id, **document(graph, up | down)}))
        return 0
    terminal = console()
    terminal.print(f"paths are below {escaped(graph.root)}/artifacts")
    if not arguments.down:
        show_made_of(graph, artifact, terminal)
    if not arguments.up:
        show_made_from(graph, artifact, terminal)
    return 0
