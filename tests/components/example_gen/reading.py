"""Runs the whole ingest on files of a test and reads what it wrote."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from components.example_gen.files import find_files
from components.example_gen.ingest import IngestCounts, ingest
from components.example_gen.source import CsvSource, HashSplit, IngestConfig
from components.examples.read import ExamplesSplit, read_batches

ALL = HashSplit(weights=(("all", 1),))


def run_ingest(config: IngestConfig, out: Path) -> IngestCounts:
    """Ingests, and checks that no row is unaccounted for."""
    counts = ingest(config, find_files(config), str(out))
    written = {split: len(read_rows(out, split)) for split in counts.splits}
    assert counts.splits == written
    assert len(read_rejects(out)) == counts.rows_rejected
    assert counts.rows_in == sum(written.values()) + counts.rows_rejected + counts.rows_gap
    return counts


def ingest_csv(folder: Path, text: str | bytes, **options: Any) -> list[dict[str, Any]]:
    """Writes one CSV file, ingests it into one split and returns its rows."""
    path = folder / "rows.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    share = options.pop("max_rejected_share", 0.0)
    source = CsvSource((str(path),), **options)
    run_ingest(IngestConfig(source, ALL, max_rejected_share=share), folder / "out")
    return read_rows(folder / "out", "all")


def read_table(out: Path, split: str) -> pa.Table:
    batches = list(read_batches(ExamplesSplit(str(out), split)))
    if not batches:
        [file] = (out / f"Split-{split}").iterdir()
        return pq.read_table(file)
    return pa.Table.from_batches(batches)


def read_rows(out: Path, split: str) -> list[dict[str, Any]]:
    return read_table(out, split).to_pylist()


def read_rejects(out: Path) -> list[dict[str, Any]]:
    path = out / "rejects.parquet"
    return pq.read_table(path).to_pylist() if path.exists() else []
