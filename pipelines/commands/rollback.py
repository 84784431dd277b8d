"""`beamfleet rollback`: makes an earlier pushed version the current one."""

import argparse
import json

from components.pusher.versions import PushedVersions
from pipelines.pushed import pushed_directory


def main(arguments: argparse.Namespace) -> int:
    """Moves the pointer and says to which version."""
    versions = PushedVersions(pushed_directory(arguments.models))
    before = None if arguments.to else versions.current()
    version = versions.rollback(to=arguments.to)
    if arguments.json:
        print(json.dumps({"version": version.number, "path": version.path}))
    elif before:
        print(f"version {version.number} is current now (it was {before.number}): {version.path}")
    else:
        print(f"version {version.number} is current now: {version.path}")
    return 0
