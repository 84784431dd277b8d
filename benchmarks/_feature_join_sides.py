"""Our sides of benchmarks/features_join.py, and the peers: each is one call on the same frames."""

import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl

from components.feature_join.chunks import Chunk, packed, unpacked
from components.feature_join.point_in_time import point_in_time_join
from components.feature_join.rules import Rules
from components.feature_values.keyed import TIME

RULES = Rules(("card_id",), "event_time", ("mean", "count"), None, "inclusive")
CHUNK_ROWS = {"labels": 100_000, "log": 250_000}
SHARDS = 4
HELD: dict[tuple[str, int], bytes] = {}
"""What Beam reads: held here, because Beam would compress the elements of Create into its graph."""

Side = Callable[[], pl.DataFrame | pd.DataFrame | int]


def data(events: int, keys: int, labels: int, skew: float) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Labels in any order, and a change log as a view's is stored: by key and time.

    Args:
      skew: Exponent of Zipf's law for keys of both; 0: all alike.
    """
    rng = np.random.default_rng(0)
    weights = 1 / np.arange(1, keys + 1) ** skew
    start, month = 1_700_000_000_000_000, 30 * 86_400_000_000

    def rows(count: int, time: str) -> pl.DataFrame:
        key = rng.choice(keys, count, p=weights / weights.sum())
        at = pl.Series(start + rng.integers(0, month, count)).cast(TIME)
        return pl.DataFrame({"card_id": [f"card{i:06d}" for i in key], time: at})

    log = rows(events, "valid_from").with_columns(
        created=pl.col("valid_from") + pl.duration(seconds=5),
        mean=pl.Series(rng.normal(size=events)),
        count=pl.Series(rng.integers(0, 9, events)),
    )
    log = log.unique(["card_id", "valid_from"]).sort("card_id", "valid_from")
    return rows(labels, "event_time"), pl.DataFrame(log.to_arrow())


def sides(labels: pl.DataFrame, log: pl.DataFrame) -> dict[str, Side]:
    """Name -> one run."""
    warnings.simplefilter("ignore")
    by_time, shuffled = log.sort("valid_from"), log.sample(fraction=1, shuffle=True, seed=0)
    left, right = labels.to_pandas(), log.to_pandas()
    hold(labels, log)
    rules = vars(RULES)

    def bare(events: pl.DataFrame, sort: bool = True) -> pl.DataFrame:
        if sort:
            events = events.sort("valid_from")
        return labels.sort("event_time").join_asof(
            events, left_on="event_time", right_on="valid_from", by="card_id"
        )

    return {
        "polars": lambda: bare(log),
        "polars, log sorted before": lambda: bare(by_time, sort=False),
        "ours": lambda: point_in_time_join(labels, log, **rules),
        "ours, log not in order": lambda: point_in_time_join(labels, shuffled, **rules),
        "ours, as known": lambda: point_in_time_join(labels, log, **rules | {"as_known": True}),
        "duckdb": lambda: in_duckdb(labels, log),
        "pandas": lambda: pd.merge_asof(
            left.sort_values("event_time"), right.sort_values("valid_from"),
            left_on="event_time", right_on="valid_from", by="card_id",
        ),
        "ours on beam": in_beam,
        "beam, ten labels": lambda: in_beam(few=True),
    }  # fmt: skip


def in_duckdb(labels: pl.DataFrame, log: pl.DataFrame) -> pl.DataFrame:
    """ASOF join, in the order of the labels."""
    numbered, known = labels.with_row_index("n").to_arrow(), log.to_arrow()
    connection = duckdb.connect()
    connection.register("labels", numbered)
    connection.register("log", known)
    query = """
        select labels.*, mean, count from labels asof left join log
        on labels.card_id = log.card_id and event_time >= valid_from order by n
    """
    return pl.DataFrame(connection.execute(query).to_arrow_table())


def hold(labels: pl.DataFrame, log: pl.DataFrame) -> None:
    """Keeps the chunks where Beam's workers, which are threads, find them."""
    HELD.clear()
    for side, frame in (("labels", labels), ("log", log)):
        size = CHUNK_ROWS[side]
        for i, start in enumerate(range(0, frame.height, size)):
            HELD[side, i] = packed(frame[start : start + size])
    HELD["few labels", 0], HELD["few log", 0] = packed(labels[:10]), packed(log[:10])


def in_beam(few: bool = False) -> int:
    """Hash-shards on the runner that needs no cluster; gives the rows."""
    import apache_beam as beam

    from components.feature_join.shards import JoinInShards

    _ROWS.clear()
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        chunks = {}
        for side in CHUNK_ROWS:
            name = f"few {side}" if few else side
            numbers = [key for key in HELD if key[0] == name]
            made = pipeline | f"List {side}" >> beam.Create(numbers, reshuffle=False)
            chunks[side] = made | f"Read {side}" >> beam.Map(held)
        chunks | JoinInShards(RULES, SHARDS) | "Count" >> beam.Map(counted)
    return sum(_ROWS)


_ROWS: list[int] = []


def held(key: tuple[str, int]) -> Chunk:
    """A chunk."""
    return key[1], HELD[key]


def counted(chunk: Chunk) -> None:
    """Reads what was joined."""
    _ROWS.append(unpacked(chunk[1]).height)


@contextmanager
def feast_file_store(labels: pl.DataFrame, log: pl.DataFrame) -> Iterator[Side]:
    """Feast's historical retrieval from a Parquet file; its registry is made beforehand."""
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig
    from feast.types import Float64, Int64

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        log.write_parquet(path / "log.parquet")
        store = FeatureStore(
            config=RepoConfig(
                project="p", provider="local", registry=str(path / "registry.db"),
                offline_store={"type": "file"}, online_store=None,
                entity_key_serialization_version=3,
            )
        )  # fmt: skip
        card = Entity(name="card", join_keys=["card_id"])
        view = FeatureView(
            name="spend", entities=[card], ttl=timedelta(0), online=False,
            schema=[Field(name="mean", dtype=Float64), Field(name="count", dtype=Int64)],
            source=FileSource(
                path=str(path / "log.parquet"), timestamp_field="valid_from",
                created_timestamp_column="created",
            ),
        )  # fmt: skip
        store.apply([card, view])
        entities = labels.to_pandas()
        names = ["spend:mean", "spend:count"]
        yield lambda: store.get_historical_features(entities, names).to_df()
