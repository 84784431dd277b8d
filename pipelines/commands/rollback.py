"""`beamfleet rollback`: ends a split, makes an earlier version current, or an entity's model."""

import argparse
import json

from components.pusher.entity_rollback import ENTITY_ROLLBACKS, rollback_entities
from components.pusher.versions import PushedVersions
from pipelines.pushed import pushed_directory
from pipelines.render import shown


def main(arguments: argparse.Namespace) -> int:
    """Moves the pointer and says to which version."""
    if arguments.entity:
        return _entities(arguments)
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


def _entities(arguments: argparse.Namespace) -> int:
    directory = pushed_directory(arguments.models)
    version = rollback_entities(directory, arguments.entity, to=arguments.to, why=arguments.why)
    models = version.details[ENTITY_ROLLBACKS]
    if arguments.json:
        print(json.dumps({"version": version.number, "path": version.path, "entities": models}))
        return 0
    before = version.details["previous_version"]
    print(f"version {version.number} is current now (it was {before}): {version.path}")
    for entity, number in models.items():
        print(f"  {shown(entity)} has its model of version {number}")
    print(f"  all other models are those of version {before}")
    return 0
