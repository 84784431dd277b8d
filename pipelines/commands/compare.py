"""`beamfleet compare`: what differs between two runs."""

import argparse
import json
from pathlib import Path

from pipelines.compare_view import show_comparison
from pipelines.comparing import compare
from pipelines.finding import find_run
from pipelines.render import console


def main(arguments: argparse.Namespace) -> int:
    """Prints what ML Metadata and the artifacts say of two runs, side by side."""
    base = Path(arguments.root)
    a, b = find_run(arguments.a, base), find_run(arguments.b, base)
    comparison = compare(a, b)
    if arguments.json:
        print(json.dumps(comparison.to_dict()))
    else:
        show_comparison(comparison, console())
    return 0
