"""`beamfleet rollback`: ends a split, or makes an earlier pushed version the current one."""

import argparse
import json

from components.pusher.versions import PushedVersions
from pipelines.pushed import pushed_directory


def main(arguments: argparse.Namespace) -> int:
    """Moves the pointer and says to which version."""
    versions = PushedVersions(pushed_directory(arguments.models))
    # With --to also a broken CURRENT is mended, which says nothing about before.
    before, split = (None, None) if arguments.to else versions.traffic()
    version = versions.rollback(to=arguments.to, why=arguments.why)
    if arguments.json:
        print(json.dumps({"version": version.number, "path": version.path}))
    elif split:
        print(
            f"version {version.number} gets all requests again; version {split.challenger} is no "
            f"{split.plan.challenger} any more: {version.path}"
        )
    elif before:
        print(f"version {version.number} is current now (it was {before.number}): {version.path}")
    else:
        print(f"version {version.number} is current now: {version.path}")
    return 0
