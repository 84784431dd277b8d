"""Names and types of the files of a store, format version 1."""

from dataclasses import dataclass

import pyarrow as pa

FORMAT = "beamfleet-entity-models"
VERSION = 1
MANIFEST = "manifest.json"
INDEX = "index.parquet"
COSTS = "costs.parquet"
"""What training took, which differs each time: no part of the store, and not pushed with it."""
HEADER = b"BEAMFLEET\x00SHARD\x01"
"""First bytes of each shard; the last one is the format version."""
MIN_MODEL_BYTES = 16 * 1024
"""A loaded model weighs at least this much, however small its payload."""
MAX_PAYLOAD_BYTES = 2 * 1024**3
"""Limit of one model, stored or decompressed."""
STATUSES = ("trained", "small", "failed")

INDEX_SCHEMA = pa.schema(
    [
        ("kind", pa.string()),
        ("entity", pa.string()),
        ("shard", pa.int32()),
        ("shards", pa.int32()),
        ("offset", pa.int64()),
        ("length", pa.int64()),
        ("sha256", pa.string()),
        ("framework", pa.string()),
        ("rows", pa.int64()),
        ("rows_dropped", pa.int64()),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("fingerprint", pa.string()),
        ("metrics", pa.string()),
    ]
)


@dataclass(frozen=True, kw_only=True)
class IndexEntry:
    """One row of the index: where a model lies and how it was made."""

    kind: str
    """`entity` or `fallback`."""
    entity: str
    """Entity key; "" for the fallback."""
    status: str
    """`trained`, `small` (fewer rows than min_rows) or `failed`."""
    rows: int
    """Rows that the model was trained on, or that the entity has."""
    rows_dropped: int = 0
    """Rows left out, for a missing value or by the sample of max_rows."""
    reason: str = ""
    """Why there is no model."""
    fingerprint: str = ""
    """Of rows, code and hyper-parameters."""
    metrics: str | None = None
    """Evaluation metrics as JSON."""
    framework: str = ""
    """What the payload is decoded with; see `codecs`."""
    shard: int = 0
    shards: int = 0
    """Number of shards that the store was written with."""
    offset: int = 0
    """First byte of the payload in the shard."""
    length: int = 0
    """Bytes of the payload; 0 without a model."""
    sha256: str = ""
    """Of the payload."""


def shard_name(shard: int, shards: int) -> str:
    """Path of a shard inside the store; entity keys never become file names."""
    return f"shards/shard-{shard:05d}-of-{shards:05d}.bin"


def path_of(uri: str, name: str) -> str:
    return f"{uri.rstrip('/')}/{name}"
