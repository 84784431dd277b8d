"""The join above one machine: labels and log meet in shards of their keys."""

from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import numpy as np
import polars as pl

from components.feature_join.chunks import Chunk, packed, unpacked
from components.feature_join.kernel import joined, ordered
from components.feature_join.rules import Rules, key_series

_Piece = tuple[int, bytes, bytes]
"""Position of its chunk, its rows there (int64), its rows themselves."""


class JoinInShards(beam.PTransform):
    """The same as `joined`, on any runner.

    Takes {"labels": chunks, "log": chunks} (see `chunks`), and gives the chunks of the labels with
    their features, at their positions and in their order. A worker holds one shard of the labels
    and the log at a time; all rows of one key are in one shard.
    """

    def __init__(self, rules: Rules, shards: int) -> None:
        """Joins by rules.

        Args:
          shards: Such that the labels and the log of one fit into a worker.
        """
        super().__init__()
        self._rules, self._shards = rules, shards

    def expand(self, sides: Any) -> beam.PCollection[Chunk]:
        """See the class."""
        rules, shards = self._rules, self._shards
        labels = sides["labels"] | "ShardLabels" >> beam.FlatMap(
            _labels_by_shard, rules=rules, shards=shards
        )
        log = sides["log"] | "ShardLog" >> beam.FlatMap(_log_by_shard, rules=rules, shards=shards)
        return (
            {"labels": labels, "log": log}
            | "MeetInShards" >> beam.CoGroupByKey()
            | "JoinShard" >> beam.FlatMap(_join_shard, rules=rules)
            | "MeetInChunks" >> beam.GroupByKey()
            | "RestoreOrder" >> beam.MapTuple(_in_order)
        )


def _labels_by_shard(chunk: Chunk, rules: Rules, shards: int) -> Iterator[tuple[int, _Piece]]:
    position, content = chunk
    frame = unpacked(content)
    rules.check_labels(frame.columns)
    for shard, rows in enumerate(_rows_by_shard(frame, rules, shards, "labels")):
        if rows.size:
            yield shard, (position, rows.tobytes(), packed(frame[rows]))


def _log_by_shard(chunk: Chunk, rules: Rules, shards: int) -> Iterator[tuple[int, Chunk]]:
    """To every shard, if only for the types of the columns."""
    position, content = chunk
    frame = unpacked(content)
    frame = frame.select(rules.log_columns(frame.columns))
    for shard, rows in enumerate(_rows_by_shard(frame, rules, shards, "log")):
        yield shard, (position, packed(frame[rows]))


def _rows_by_shard(
    frame: pl.DataFrame, rules: Rules, shards: int, what: str
) -> list[np.ndarray[Any, Any]]:
    """Rows of each shard, in order. One version of polars hashes alike in all workers."""
    keys = pl.DataFrame([key_series(frame, name, what) for name in rules.keys])
    shard = (keys.hash_rows() % shards).to_numpy()
    order = np.argsort(shard, kind="stable")
    return np.split(order, np.searchsorted(shard[order], np.arange(1, shards)))


def _join_shard(
    shard: tuple[int, dict[str, Iterable[Any]]], rules: Rules
) -> Iterator[tuple[int, tuple[bytes, bytes]]]:
    _, sides = shard
    pieces: list[_Piece] = sorted(sides["labels"])
    if not pieces:
        return
    labels = [unpacked(content) for _, _, content in pieces]
    log = pl.concat([unpacked(content) for _, content in sorted(sides["log"])])
    made = joined(pl.concat(labels), [ordered(log, rules)], rules)
    start = 0
    for (position, rows, _), piece in zip(pieces, labels, strict=True):
        yield position, (rows, packed(made[start : start + piece.height]))
        start += piece.height


def _in_order(position: int, pieces: Iterable[tuple[bytes, bytes]]) -> Chunk:
    rows, frames = zip(*pieces, strict=True)
    order = np.argsort(np.concatenate([np.frombuffer(one, np.int64) for one in rows]))
    return position, packed(pl.concat([unpacked(one) for one in frames])[order])
