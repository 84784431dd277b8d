"""Rows and statistics of one split as tables of a DuckDB that can reach nothing else."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
from tensorflow_metadata.proto.v0 import statistics_pb2

from components.errors import BeamfleetError
from components.example_validator.expressions import STATISTICS, literal, quoted
from components.examples.read import ExamplesSplit, split_files
from components.files import is_remote, open_file

MEMORY = "1GB"
"""What DuckDB keeps in memory; the rest of a sort or a grouping goes to a temporary folder."""
_THREADS = "4"
_COPIED_BYTES = 1 << 24


@dataclass(frozen=True)
class SplitTables:
    """A split that can be asked."""

    connection: duckdb.DuckDBPyConnection
    """Has `examples`, `statistics` and `split_name()`."""
    columns: tuple[str, ...]
    numbered: str
    """SQL of the rows with `_file` (its name) and `_row` (its number there, from 0)."""


@contextmanager
def open_split(examples: ExamplesSplit, statistics: str) -> Iterator[SplitTables]:
    """Opens one split in a database without files, network, extensions or settings to change.

    Args:
      examples: in Parquet; lists of at most one value are plain columns.
      statistics: file of its statistics.

    Raises:
      BeamfleetError: it is not Parquet, has no file, or two columns differ by case only.
    """
    if examples.payload != "FORMAT_PARQUET":
        raise BeamfleetError(
            f"checks read Parquet, and {examples.uri} is {examples.payload}: leave them out"
        )
    with tempfile.TemporaryDirectory(prefix="beamfleet-checks-") as folder:
        paths = [_local(str(file.path), folder, i) for i, file in enumerate(split_files(examples))]
        settings: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": MEMORY,
            "threads": _THREADS,
            "temp_directory": f"{folder}/spilled",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        }
        with duckdb.connect(":memory:", config=settings) as connection:
            connection.execute(f"SET allowed_paths = {_listed(paths)}")
            connection.execute("SET enable_external_access = false")
            yield _tables(connection, examples.split, paths, statistics)


def _local(path: str, folder: str, number: int) -> str:
    """DuckDB reads local files only: others are copied."""
    if not is_remote(path):
        return str(Path(path).absolute())
    target = Path(folder, f"{number:05}-{path.rpartition('/')[2]}")
    with open_file(path) as source, target.open("wb") as copy:
        while block := source.read(_COPIED_BYTES):
            copy.write(block)
    return str(target)


def _tables(
    connection: duckdb.DuckDBPyConnection, split: str, paths: list[str], statistics: str
) -> SplitTables:
    rows = list(_statistics(split, statistics))
    connection.execute(STATISTICS)
    if rows:
        marks = ", ".join("?" * len(rows[0]))
        connection.executemany(f"INSERT INTO statistics VALUES ({marks})", rows)  # noqa: S608
    source = f"read_parquet({_listed(paths)}, file_row_number = true, filename = true)"
    described = connection.execute(
        f"DESCRIBE SELECT * FROM read_parquet({_listed(paths)})"  # noqa: S608
    ).fetchall()
    types = {str(name): str(kind) for name, kind, *_ in described}
    _check_case(pq.read_schema(paths[0]).names, paths[0])
    lists = _of_several(connection, types, _listed(paths))
    flat = ", ".join(_plain(name, kind, name in lists) for name, kind in types.items())
    connection.execute(f"CREATE VIEW examples AS SELECT {flat} FROM {source}")  # noqa: S608
    connection.execute(f"CREATE MACRO split_name() AS {literal(split)}")
    connection.execute("SET lock_configuration = true")
    file = "parse_filename(filename) AS _file, file_row_number AS _row"
    return SplitTables(connection, tuple(types), f"SELECT {flat}, {file} FROM {source}")  # noqa: S608


def _listed(paths: list[str]) -> str:
    return f"[{', '.join(map(literal, paths))}]"


def _of_several(
    connection: duckdb.DuckDBPyConnection, types: Mapping[str, str], paths: str
) -> set[str]:
    """Columns that have several values in some row."""
    lists = [name for name, kind in types.items() if kind.endswith("[]")]
    if not lists:
        return set()
    longest = ", ".join(f"max(len({quoted(name)}))" for name in lists)
    [found] = connection.execute(f"SELECT {longest} FROM read_parquet({paths})").fetchall()  # noqa: S608
    return {name for name, most in zip(lists, found, strict=True) if (most or 0) > 1}


def _plain(name: str, kind: str, several: bool) -> str:
    """A list of values is itself; of at most one it is the value."""
    column = quoted(name)
    return f"{column}[1] AS {column}" if kind.endswith("[]") and not several else column


def _check_case(names: list[str], path: str) -> None:
    """DuckDB would call the second one `Fare_1`."""
    folded: dict[str, str] = {}
    for name in names:
        other = folded.setdefault(name.lower(), name)
        if other != name:
            raise BeamfleetError(
                f"{path} has the columns {other!r} and {name!r}: SQL cannot tell them apart; "
                "rename one in `clean`, or leave the checks out"
            )


def _statistics(split: str, path: str) -> Iterator[tuple[Any, ...]]:
    """One row a column, in the order of the table."""
    document = statistics_pb2.DatasetFeatureStatisticsList()
    with open_file(path) as file:
        document.ParseFromString(file.read())
    for dataset in document.datasets:
        for feature in dataset.features:
            yield (
                split,
                ".".join(feature.path.step) or feature.name,
                statistics_pb2.FeatureNameStatistics.Type.Name(feature.type),
                *_counts(feature, int(dataset.num_examples)),
                *_numbers(feature),
                *_words(feature, int(dataset.num_examples)),
            )


def _counts(feature: Any, rows: int) -> tuple[int, int, float | None]:
    kind = feature.WhichOneof("stats")
    common = getattr(feature, kind).common_stats if kind else None
    missing = rows - (int(common.num_non_missing) if common else 0)
    return rows, missing, missing / rows if rows else None


def _numbers(feature: Any) -> tuple[Any, ...]:
    if not feature.HasField("num_stats"):
        return (None,) * 6
    found = feature.num_stats
    return found.mean, found.std_dev, found.min, found.max, found.median, int(found.num_zeros)


def _words(feature: Any, rows: int) -> tuple[Any, ...]:
    if not feature.HasField("string_stats"):
        return (None,) * 4
    found = feature.string_stats
    top = found.top_values[0] if found.top_values else None
    value, share = (top.value, top.frequency / rows) if top and rows else (None, None)
    return int(found.unique), value, share, found.avg_length
