"""`beamfleet features export`: the views with their history as a repository of feast."""

import argparse
import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, cast

from components.errors import BeamfleetError
from components.feature_registry import Record, Registry
from components.feature_registry.feast_export import NOTES, export_to_feast
from pipelines.feature_stores import REGISTRY, store_root
from pipelines.render import shown

if TYPE_CHECKING:
    import polars as pl

    from components.features.view import FeatureView


def main(arguments: argparse.Namespace) -> int:
    """Makes the repository, and says what feast reads otherwise."""
    root = store_root(arguments.store)

    def log_of(record: Record) -> "pl.LazyFrame":
        return _log_of(record, root)

    made = export_to_feast(Registry(root / REGISTRY), log_of, Path(arguments.out).absolute())
    if arguments.json:
        document = {"path": str(made.path), "views": made.views, "services": made.services,
                    "without_history": made.without_history, "notes": NOTES}  # fmt: skip
        print(json.dumps(document))
        return 0
    for name, rows in made.views.items():
        print(f"{name}: {rows:,} rows")
    for name in made.without_history:
        print(f"{name}: left out, it has no history yet")
    print(shown(f"{made.path} is a repository of feast. To look at it, with feast[grpcio]:"))
    print(shown(f"  feast -c {shlex.quote(str(made.path))} ui --host 127.0.0.1"))
    print("\nfeast reads otherwise than Beamfleet:")
    print("\n".join(f"- {note}" for note in NOTES))
    return 0


def _log_of(record: Record, root: Path) -> "pl.LazyFrame":
    """The change log of a view, the rows of a group."""
    import polars as pl

    from components.feature_backfill.generation import current
    from components.feature_backfill.logs import scan_log

    if record.kind == "view":
        # A record has what counts here of a view: its name and version.
        return scan_log(current(cast("FeatureView", record), root))
    parts = sorted((root / "groups" / record.name / f"v{record.version}").glob("part-*.parquet"))
    if not parts:
        raise BeamfleetError(f"feature group {record.name!r} has no rows in {root}")
    return pl.scan_parquet(parts, glob=False)
