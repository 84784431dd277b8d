"""`beamfleet list`: the pipelines that come with beamfleet."""

import argparse
import json

from pipelines.projects import PIPELINES


def main(arguments: argparse.Namespace) -> int:
    """Prints names and descriptions."""
    if arguments.json:
        print(json.dumps([{"name": n, "description": d} for n, d in PIPELINES.items()]))
        return 0
    width = max(map(len, PIPELINES))
    for name, description in PIPELINES.items():
        print(f"{name:<{width}}  {description}")
    print("\nYour own: beamfleet init DIR, then beamfleet run DIR")
    return 0
