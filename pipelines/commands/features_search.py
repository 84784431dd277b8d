"""`beamfleet features search`: what has all words of a text, the best first."""

import argparse
import json

from components.errors import BeamfleetError
from components.feature_registry.records import KINDS
from pipelines.commands.features_list import cell, document
from pipelines.feature_stores import registry_of
from pipelines.render import console, plain_table


def main(arguments: argparse.Namespace) -> int:
    """Prints a table, or the records as JSON."""
    if not arguments.text.strip():
        raise BeamfleetError("TEXT is empty: say what to search; `features list` shows all")
    hits = registry_of(arguments.store).search(arguments.text)
    if arguments.json:
        print(json.dumps([{**document(one.record), "found_in": one.where} for one in hits]))
        return 0
    if not hits:
        print("nothing has all of these words; `beamfleet features list` shows what there is")
        return 0
    table = plain_table("kind", "name", "version", "owner", "found in", "description",
                        right=("version",))  # fmt: skip
    for one in hits:
        record = one.record
        words = (KINDS[record.kind], record.name, str(record.version), record.owner)
        table.add_row(*map(cell, (*words, ", ".join(one.where), record.description)))
    console().print(table)
    return 0
