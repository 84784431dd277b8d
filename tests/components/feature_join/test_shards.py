"""What Beam joins in shards is what one machine joins, in the same order."""

from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import polars as pl
import pytest
from apache_beam.testing.util import assert_that, equal_to

from components.feature_join.chunks import (
    Chunk,
    ReadParquetChunks,
    WriteParquetChunks,
    packed,
    unpacked,
)
from components.feature_join.point_in_time import point_in_time_join
from components.feature_join.rules import Rules
from components.feature_join.shards import JoinInShards, _join_shard
from components.feature_values.keyed import TIME


def rules_of(**others: Any) -> Rules:
    given: dict[str, Any] = {"keys": ("card", "shop"), "ttl_us": 300, "boundary": "strict"}
    return Rules(label_time="at", features=("mean", "word"), **(given | others))


def rows_of(seed: int, rows: int, **others: str) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pl.DataFrame(
        {
            "card": pl.Series([f"c{i}" for i in rng.zipf(1.5, rows) % 40]),
            "shop": pl.Series(rng.integers(0, 3, rows)),
            "at": pl.Series(rng.integers(0, 1000, rows)).cast(TIME),
            "created": pl.Series(rng.integers(0, 1500, rows)).cast(TIME),
        }
    )
    empty = pl.int_range(pl.len()) % 11 == 3
    return frame.with_columns(pl.when(~empty).then("card").alias("card")).rename(others)


LABELS = rows_of(1, 700).with_columns(y=pl.int_range(pl.len()), rows=pl.lit("x")).drop("created")
LOG = rows_of(2, 2000, at="valid_from").with_columns(
    mean=pl.int_range(pl.len()) / 7, word=pl.int_range(pl.len()).cast(pl.String)
)


def chunks_of(frame: pl.DataFrame, rows: int) -> list[Chunk]:
    starts = range(0, frame.height, rows)
    return [(i, packed(frame[start : start + rows])) for i, start in enumerate(starts)]


def in_shards(labels: list[Chunk], log: list[Chunk], rules: Rules, out: Path) -> pl.DataFrame:
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        sides = {
            "labels": pipeline | "Labels" >> beam.Create(labels),
            "log": pipeline | "Log" >> beam.Create(log),
        }
        paths = sides | JoinInShards(rules, shards=5) | WriteParquetChunks(str(out))
        names = [str(out / f"part-{position:08d}.parquet") for position, _ in labels]
        assert_that(paths, equal_to(names))
    return pl.concat([pl.read_parquet(name) for name in sorted(names)])


@pytest.mark.parametrize(
    "others",
    [{}, {"boundary": "inclusive", "ttl_us": None}, {"as_known": True, "offset_us": 20},
     {"keys": ("card",)}],
)  # fmt: skip
def test_equals_the_embedded_join(tmp_path: Path, others: dict[str, Any]) -> None:
    rules = rules_of(**others)
    labels, log = chunks_of(LABELS, 150), chunks_of(LOG, 300)
    made = in_shards(labels[::-1], log[::-1], rules, tmp_path)
    expected = point_in_time_join(LABELS, LOG, **vars(rules))
    assert 0 < expected["mean"].null_count() < expected.height
    assert made.equals(expected)


def test_shards_that_lack_a_side_have_columns_of_the_right_type(tmp_path: Path) -> None:
    made = in_shards(chunks_of(LABELS[:3], 1), chunks_of(LOG[:1], 1), rules_of(), tmp_path)
    assert made.schema == LABELS.schema | {"mean": pl.Float64(), "word": pl.String()}
    nothing = in_shards(chunks_of(LABELS[:3], 2), [(0, packed(LOG.clear()))], rules_of(), tmp_path)
    assert nothing["mean"].to_list() == [None] * 3


def test_keys_of_another_type_are_refused_however_few(tmp_path: Path) -> None:
    log = LOG.with_columns(shop=pl.lit("1"))
    with pytest.raises(Exception, match="shop is Int64 in the labels and String in the log"):
        in_shards(chunks_of(LABELS[:1], 1), chunks_of(log[:1], 1), rules_of(), tmp_path)


def test_row_groups_of_files_are_chunks_in_order(tmp_path: Path) -> None:
    files = []
    for i, part in enumerate((LABELS[:70], LABELS[70:])):
        files.append(str(tmp_path / f"{i}.parquet"))
        part.write_parquet(files[-1], row_group_size=50)
    expected = [(i, LABELS[a:b]["y"].to_list()) for i, (a, b) in enumerate(_groups())]
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        chunks = pipeline | ReadParquetChunks(files, ["y"])
        read = chunks | beam.MapTuple(lambda i, content: (i, unpacked(content)["y"].to_list()))
        assert_that(read, equal_to(expected))


def _groups() -> list[tuple[int, int]]:
    starts = [0, 50, *range(70, 700, 50)]
    return list(zip(starts, [*starts[1:], 700], strict=True))


def test_chunks_of_the_log_count_in_their_order_however_they_arrive() -> None:
    at = pl.Series([5, 5]).cast(TIME)
    keys = {"card": ["a"], "shop": [1]}
    labels = pl.DataFrame({**keys, "at": pl.Series([9]).cast(TIME)})
    log = [
        pl.DataFrame({**keys, "valid_from": at[:1], "created": at[:1], "mean": m, "word": "x"})
        for m in (1.0, 2.0, 3.0)
    ]
    piece = (0, np.array([0]).tobytes(), packed(labels))
    for order in ([0, 1, 2], [2, 1, 0], [1, 2, 0]):
        sides = {"labels": [piece], "log": [(n, packed(log[n])) for n in order]}
        [(_, (_, joined))] = _join_shard((0, sides), rules_of())
        assert unpacked(joined)["mean"].to_list() == [3.0]
