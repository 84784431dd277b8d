"""What a transaction of a stream makes, and its way to the log and the online store."""

import io
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from components.feature_stream.json_files import Block
from components.feature_stream.keying import utc
from components.feature_stream.ledger import Ledger
from components.feature_stream.log import CHANGES, write_part
from components.features.source import Source
from components.features.view import FeatureView
from components.online_store import OnlineStore


class Outbox:
    """Rows lie in the ledger until they are delivered; to deliver them twice does no harm."""

    def __init__(
        self, view: FeatureView, name: str, online: OnlineStore | None, ledger: Ledger, root: Path
    ) -> None:
        """Of a view, which has a name in the ledger."""
        self._view, self._name, self._root = view, name, root
        self._online = online if view.online else None
        self._ledger = ledger

    def post(self, batch: int, watermark: int, frames: Mapping[str, pl.DataFrame | None]) -> None:
        """Puts out the rows of each kind, within a transaction."""
        for kind, frame in frames.items():
            if frame is not None and frame.height:
                content = io.BytesIO()
                frame.write_ipc(content)
                self._ledger.post(self._name, batch, kind, watermark, content.getvalue())

    def deliver(self) -> None:
        """Writes what was put out: to the log, and change rows to the online store."""
        for batch, kind, watermark, content in self._ledger.posted(self._name):
            rows = pl.read_ipc(io.BytesIO(content))
            write_part(self._view, self._root, batch, kind, rows)
            if kind == CHANGES and self._online is not None:
                now = min(datetime.now(UTC), utc(max(watermark, 0)))
                self._online.write(self._view, rows, now)
            self._ledger.delivered(self._name, batch, kind)


def rejects_frame(
    source: Source, block: Block, rejected: list[tuple[int, bytes, str]]
) -> pl.DataFrame:
    """Lines that could not be read, with their reasons."""
    rows = [
        (source.name, block.file, at, line.decode(errors="replace"), reason)
        for at, line, reason in sorted(rejected)
    ]
    schema = {"source": pl.String, "file": pl.String, "byte": pl.Int64, "line": pl.String}
    return pl.DataFrame(rows, schema | {"reason": pl.String}, orient="row")
