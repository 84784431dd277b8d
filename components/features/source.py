"""Where events come from: a history that can be read whole, and a stream that goes on."""

from dataclasses import dataclass
from pathlib import Path

from components.errors import BeamfleetError
from components.features.names import checked_name


@dataclass(frozen=True)
class Parquet:
    """Parquet files: a file, a folder (with all files below it), or a pattern."""

    path: str

    def __init__(self, path: str | Path) -> None:
        object.__setattr__(self, "path", str(path))


@dataclass(frozen=True)
class JsonLines:
    """Files of one JSON object a line, in the order of arrival: a file, a folder or a pattern.

    As `stream`, files may grow and come: what was read is remembered, by file and byte.
    """

    path: str

    def __init__(self, path: str | Path) -> None:
        object.__setattr__(self, "path", str(path))


@dataclass(frozen=True)
class Kafka:
    """A topic of JSON objects, read by Beam's ReadFromKafka (which needs Java)."""

    topic: str
    servers: str
    """`host:port,host:port`."""


@dataclass(frozen=True)
class Source:
    """Events of one kind, and which of their columns say when.

    Example:
        txns = Source("txns", batch=Parquet("data/payments/txns"), event_time="ts",
                      created="ingested_at", id="txn_id", owner="risk")
    """

    name: str
    batch: Parquet | JsonLines
    """The history."""
    event_time: str
    """Column: when it happened. Timestamps, or ISO 8601 text; without a zone it is UTC."""
    stream: JsonLines | Kafka | None = None
    """The same events as they arrive; None: there is no stream."""
    created: str | None = None
    """Column: when we got to know of it; None: at once."""
    id: str | None = None
    """Column: two events of the same key, event time and id are one, the first that was created.
    None: every event counts."""
    owner: str = ""
    description: str = ""

    def __post_init__(self) -> None:
        checked_name(self.name, "source")
        for what, one, kinds in (
            ("batch", self.batch, (Parquet, JsonLines)),
            ("stream", self.stream, (JsonLines, Kafka, type(None))),
        ):
            if not isinstance(one, kinds):
                said = "JsonLines(...)" if what == "stream" else "Parquet(...) or JsonLines(...)"
                raise BeamfleetError(
                    f"source {self.name!r}: {what} is {one!r}, expected {said} of a file, a folder "
                    f"or a pattern: {what}=JsonLines('data/txns')"
                )
        columns = [self.event_time, *filter(None, (self.created, self.id))]
        if len(set(columns)) < len(columns):
            raise BeamfleetError(
                f"source {self.name!r}: event_time, created and id are {', '.join(columns)}, "
                "expected different columns"
            )
