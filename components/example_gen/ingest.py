"""Ingests rows: reads, types, cleans, splits and writes them, block by block."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from components.errors import BeamfleetError
from components.example_gen.column_types import Kind, join_kinds
from components.example_gen.csv_reader import CsvReader
from components.example_gen.files import InputFiles
from components.example_gen.in_order import map_in_order
from components.example_gen.mixed import WordCounts, notes_on, numbers_but_for_few, sum_counts
from components.example_gen.overlap import Overlap
from components.example_gen.parquet_reader import ParquetReader
from components.example_gen.parts import Reader, Reject, TypesDiffer
from components.example_gen.prepare import PreparedRows, RowPreparation
from components.example_gen.source import (
    CsvSource,
    GivenSplit,
    IngestConfig,
    ParquetSource,
    Source,
)
from components.example_gen.tfrecord_reader import TFRecordReader
from components.example_gen.write import ExamplesWriter

_SHOWN_REJECTS = 3


@dataclass
class IngestCounts:
    """Rows by what became of them: `rows_in` is the sum of rejects, gap and splits."""

    splits: dict[str, int]
    """Rows of each split."""
    rows_in: int = 0
    rows_rejected: int = 0
    rows_gap: int = 0
    """Rows that a time split leaves between `train` and `eval`."""
    rows_eval_in_train: int | None = None
    """Rows of `eval` that are equal to a row of `train`; None unless the splits are given apart."""
    first_rejects: list[Reject] = field(default_factory=list)
    """The first few, for messages."""
    notes: list[str] = field(default_factory=list)
    """What the user should know about the types."""

    def add(self, rows: PreparedRows) -> None:
        self.rows_in += rows.rows_in
        self.rows_rejected += len(rows.rejects)
        self.rows_gap += rows.rows_gap
        self.first_rejects += rows.rejects[: _SHOWN_REJECTS - len(self.first_rejects)]
        for split, table in rows.splits.items():
            self.splits[split] += table.num_rows


class RowsRejectedError(BeamfleetError):
    """More rows were rejected than the configuration allows."""


def ingest(
    config: IngestConfig, files: InputFiles, uri: str, schema: Mapping[str, str] | None = None
) -> IngestCounts:
    """Writes an Examples artifact; nothing is visible in it until all of it is written.

    Args:
      config: what to read and how to split it.
      files: the files, from `find_files(config)`.
      uri: folder of the artifact, on any Beam filesystem.
      schema: column -> "string" | "int64" | "double", for the columns whose type the config leaves
        open; columns that the files do not have are ignored.

    Raises:
      BeamfleetError: a file cannot be read, there is no row, too many rows were rejected, or the
        rows to evaluate on are those to train on.
    """
    reader = _make_reader(config.source)
    # A guess from the first rows nearly always holds, and saves reading everything twice.
    types = _infer_from_first_rows(reader, config, files)
    promised: dict[str, Any] = dict(schema or {})
    given: dict[str, Any] = dict(config.source.types)
    if promised and not config.clean:  # else it is what cleaning leaves that the schema types
        reader = _make_reader(config.source, promised)
        given = {**{n: k for n, k in promised.items() if n in types}, **given}
        promised = {}
    settled, notes = _settle_mixed(reader, config, files, types)
    try:
        return _ingest_as({**settled, **given}, promised, reader, config, files, uri, notes)
    except TypesDiffer:
        wide = _infer_from_all_rows(reader, config, files)
    changed = {name for name in wide if wide[name] != types[name]}
    settled, notes = _settle_mixed(reader, config, files, wide, changed)
    try:
        return _ingest_as({**settled, **given}, promised, reader, config, files, uri, notes)
    except TypesDiffer as misfit:
        raise BeamfleetError(
            f"{misfit}; give the column a type (types={{column: 'string'}} keeps every digit), or "
            "run again if the file changed meanwhile"
        ) from None


def _make_reader(source: Source, schema: Collection[str] = ()) -> Reader:
    if isinstance(source, CsvSource):
        return CsvReader(source, schema)
    if isinstance(source, ParquetSource):
        return ParquetReader(source, schema)
    return TFRecordReader(source, schema)


def _blocks(reader: Reader, config: IngestConfig, files: InputFiles) -> Iterator[tuple[str, Any]]:
    """Yields (split, block); the split is empty where the rows' content decides."""
    main_split = "train" if isinstance(config.splits, GivenSplit) else ""
    for block in reader.blocks(files.main):
        yield main_split, block
    for block in reader.blocks(files.evaluation):
        yield "eval", block


def _infer_from_first_rows(
    reader: Reader, config: IngestConfig, files: InputFiles
) -> dict[str, Kind]:
    for _, block in _blocks(reader, config, files):
        if types := reader.infer(reader.sample(block)):
            return types
        raise BeamfleetError(f"{', '.join(config.source.paths)}: the rows have no columns")
    raise BeamfleetError(f"{', '.join(config.source.paths)}: the files hold no rows")


def _infer_from_all_rows(
    reader: Reader, config: IngestConfig, files: InputFiles
) -> dict[str, Kind]:
    types: dict[str, Kind] = {}
    for _, block in _blocks(reader, config, files):
        for name, kind in reader.infer(block).items():
            types[name] = join_kinds(types.get(name, "null"), kind)
    return types


def _settle_mixed(
    reader: Reader,
    config: IngestConfig,
    files: InputFiles,
    types: Mapping[str, Kind],
    suspects: Collection[str] = (),
) -> tuple[dict[str, Kind], list[str]]:
    """Decides about the columns of words that hold numbers, by all rows; and says so."""
    if not isinstance(reader, CsvReader):
        return dict(types), []
    words = [name for name, kind in types.items() if kind == "string"]
    _, head = next(_blocks(reader, config, files))
    sample = reader.count_words(reader.sample(head), words)
    mixed = [n for n in words if n in suspects or (n in sample and _is_mixed(sample[n]))]
    if not mixed:
        return dict(types), []
    counts = sum_counts(
        reader.count_words(block, mixed) for _, block in _blocks(reader, config, files)
    )
    numbers = numbers_but_for_few(counts, config.max_rejected_share)
    reader.reject_misfits(numbers)
    return {**types, **numbers}, notes_on(counts, numbers)


def _is_mixed(counts: WordCounts) -> bool:
    return counts.mostly_numbers or counts.has_few_long


def _ingest_as(
    types: Mapping[str, Kind],
    cleaned_types: Mapping[str, Kind],
    reader: Reader,
    config: IngestConfig,
    files: InputFiles,
    uri: str,
    notes: list[str],
) -> IngestCounts:
    prepare = RowPreparation(reader, config, types, cleaned_types)
    counts = IngestCounts(dict.fromkeys(config.splits.names, 0), notes=notes)
    overlap = Overlap()
    with ExamplesWriter(uri, config.splits.names, config.payload) as writer:
        for rows in map_in_order(prepare, _blocks(reader, config, files)):
            writer.write(rows.splits, rows.rejects)
            counts.add(rows)
            for split, hashes in rows.hashes.items():
                overlap.add(split, hashes)
        _check_share(config, counts)
        if isinstance(config.splits, GivenSplit):
            counts.rows_eval_in_train = overlap.count()
        writer.publish()
    return counts


def _check_share(config: IngestConfig, counts: IngestCounts) -> None:
    if counts.rows_rejected <= config.max_rejected_share * counts.rows_in:
        return
    examples = "; ".join(f"{r.file} line {r.line}: {r.reason}" for r in counts.first_rejects)
    raise RowsRejectedError(
        f"{counts.rows_rejected} of {counts.rows_in} rows of {', '.join(config.source.paths)} were "
        f"rejected, more than max_rejected_share={config.max_rejected_share}. The first: {examples}"
    )
