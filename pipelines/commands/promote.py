"""`beamfleet promote`: the challenger becomes the champion."""

import argparse
import json

from components.pusher.splits import promote
from components.pusher.versions import PushedVersions
from pipelines.pushed import pushed_directory


def main(arguments: argparse.Namespace) -> int:
    """Moves the pointer and says to which version."""
    directory = pushed_directory(arguments.models)
    before, _ = PushedVersions(directory).traffic()
    version = promote(directory, arguments.label, arguments.why)
    if arguments.json:
        print(json.dumps({"version": version.number, "path": version.path}))
        return 0
    was = f" (it was {before.number})" if before else ""
    print(f"version {version.number} is the champion now{was}: {version.path}")
    return 0
