"""Reads a view's history."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from components.feature_backfill.event_files import events_schema, in_schema, shard_batches
from components.feature_backfill.generation import current, manifest_of
from components.feature_backfill.shards import shards_of
from components.feature_values.changes import changes
from components.feature_values.ordered import in_order
from components.features.view import FeatureView


def read_log(view: FeatureView, root: Path) -> pl.LazyFrame:
    """The change log. All rows of a key lie together, in order of valid_from; the keys do not.

    Raises:
      BeamfleetError: the view has no history yet.
    """
    return scan_log(current(view, root))


def read_events(view: FeatureView, root: Path, keys: pl.DataFrame | None = None) -> pl.DataFrame:
    """The keyed events that the history was made of, each once.

    Args:
      view: The view.
      root: Folder of the store.
      keys: Only of these; columns: the view's keys.

    Raises:
      BeamfleetError: the view has no history yet.
    """
    parts = [
        ordered.events for events in _shards(view, root, keys) for ordered in in_order(view, events)
    ]
    return pl.concat(parts)


def known_log(view: FeatureView, root: Path, keys: pl.DataFrame | None = None) -> pl.DataFrame:
    """The change log of what was known: an event counts once it was created, too.

    Args:
      view: The view.
      root: Folder of the store.
      keys: Only of these; columns: the view's keys.

    Raises:
      BeamfleetError: the view has no history yet.
    """
    return pl.concat(changes(view, events, known=True) for events in _shards(view, root, keys))


def scan_log(generation: Path) -> pl.LazyFrame:
    """The change log of a generation."""
    return pl.scan_parquet(sorted((generation / "log").glob("shard-*/part-*.parquet")))


def scan_events(view: FeatureView, generation: Path) -> pl.LazyFrame:
    """The keyed events of a generation; duplicates are still among them."""
    folder = generation / "events"
    files = [pl.scan_ipc(path) for path in sorted(folder.glob("*.arrow"))]
    return pl.concat(
        [pl.LazyFrame(schema=events_schema(view, folder)), *files], how="diagonal_relaxed"
    )


def _shards(view: FeatureView, root: Path, keys: pl.DataFrame | None) -> Iterator[pl.DataFrame]:
    """The events of each shard that has any of the keys."""
    generation = current(view, root)
    folder, shards = generation / "events", int(manifest_of(generation)["shards"])
    schema, asked = events_schema(view, folder), list(range(shards))
    wanted = None
    if keys is not None:
        wanted = keys.select(pl.col(name).cast(schema[name]) for name in view.keys).unique()
        asked = sorted(set(shards_of(wanted, shards).tolist()))
    for shard in asked or [0]:
        parts = [pl.DataFrame(schema=schema)]
        for batch in shard_batches(folder, shard, shards):
            found = batch if wanted is None else batch.join(wanted, on=view.keys, how="semi")
            parts.append(in_schema(found, schema))
        yield pl.concat(parts)
