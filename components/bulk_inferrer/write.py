"""Writes shards of results, and what is told about them."""

import json
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.io.filesystems import FileSystems

from components.bulk_inferrer.config import InferenceConfig
from components.bulk_inferrer.results import DEAD_LETTERS, PREDICTIONS, joined

RETENTION = "_retention.json"
"""The underscore has Parquet readers pass it over."""


def write_shard(
    group: tuple[tuple[str, int], Iterable[bytes]], uri: str, shards: int
) -> dict[str, int]:
    """Writes one file of one kind and says how many rows it has."""
    (kind, shard), pieces = group
    table = joined(pieces)
    write_table(f"{uri}/{kind}/part-{shard:05d}-of-{shards:05d}.parquet", table)
    counts = {kind: table.num_rows}
    if kind == PREDICTIONS:
        counts["fallback"] = table.column("fallback").to_numpy().sum().item()
    return counts


def write_table(path: str, table: pa.Table) -> None:
    """Writes a Parquet file that is whole or absent."""
    folder, name = FileSystems.split(path)
    make_folder(folder)
    staged = f"{folder}/.{name}.{uuid.uuid4().hex}"
    with FileSystems.create(staged) as file:
        pq.write_table(table, file, compression="zstd")
    if FileSystems.exists(path):  # a retried bundle has written the same rows already
        FileSystems.delete([path])
    FileSystems.rename([staged], [path])


def write_json(path: str, content: Mapping[str, Any]) -> None:
    """Writes a small JSON file."""
    make_folder(FileSystems.split(path)[0])
    with FileSystems.create(path) as file:
        file.write(f"{json.dumps(content, indent=1, sort_keys=True)}\n".encode())


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


def make_folder(folder: str) -> None:
    """Makes a folder unless it is there; another worker may do the same."""
    if not FileSystems.exists(folder):
        try:
            FileSystems.mkdirs(folder)
        except OSError:
            if not FileSystems.exists(folder):
                raise


def _files(uri: str, kind: str) -> list[str]:
    [match] = FileSystems.match([f"{uri}/{kind}/part-*"])
    return sorted(str(file.path) for file in match.metadata_list)


def _footer(path: str) -> pq.FileMetaData:
    with FileSystems.open(path) as file:
        return pq.read_metadata(file)
