"""Writes shards of results, and what is told about them."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pyarrow.parquet as pq
from apache_beam.io.filesystems import FileSystems

from components.bulk_inferrer.config import InferenceConfig
from components.bulk_inferrer.results import DEAD_LETTERS, PREDICTIONS, joined
from components.files import write_json, write_parquet

RETENTION = "_retention.json"
"""The underscore has Parquet readers pass it over."""


def write_shard(
    group: tuple[tuple[str, int], Iterable[bytes]], uri: str, shards: int
) -> dict[str, int]:
    """Writes one file of one kind and says how many rows it has."""
    (kind, shard), pieces = group
    table = joined(pieces)
    write_parquet(f"{uri}/{kind}/part-{shard:05d}-of-{shards:05d}.parquet", table)
    counts = {kind: table.num_rows}
    if kind == PREDICTIONS:
        counts["fallback"] = table.column("fallback").to_numpy().sum().item()
    return counts


def write_retention(uri: str, config: InferenceConfig) -> None:
    """States beside the dead letters what they hold and until when."""
    now = datetime.now(UTC)
    content = {
        "written": now.isoformat(timespec="seconds"),
        "retain_days": config.retain_days,
        "delete_after": (now + timedelta(days=config.retain_days)).date().isoformat(),
        "payload": config.payload,
        "redacted_columns": sorted(config.private_columns),
    }
    write_json(f"{uri}/{DEAD_LETTERS}/{RETENTION}", content)


def rows_written(uri: str, kind: str) -> int:
    """Rows that the written files of a kind hold, by their footers."""
    return sum(_footer(path).num_rows for path in _files(uri, kind))


def frequent_reasons(uri: str, most: int = 3) -> dict[str, int]:
    """The most frequent reasons of the dead letters, with how often they come."""
    reasons: Counter[str] = Counter()
    for path in _files(uri, DEAD_LETTERS):
        with FileSystems.open(path) as file:
            reasons.update(pq.read_table(file, columns=["reason"]).column(0).to_pylist())
    return dict(sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0]))[:most])


def clear(uri: str) -> None:
    """Removes what an earlier attempt at the same artifact left."""
    for kind in (PREDICTIONS, DEAD_LETTERS):
        if FileSystems.exists(f"{uri}/{kind}"):
            FileSystems.delete([f"{uri}/{kind}"])


def _files(uri: str, kind: str) -> list[str]:
    [match] = FileSystems.match([f"{uri}/{kind}/part-*"])
    return sorted(str(file.path) for file in match.metadata_list)


def _footer(path: str) -> pq.FileMetaData:
    with FileSystems.open(path) as file:
        return pq.read_metadata(file)
