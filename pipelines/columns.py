"""Whether the columns that the steps name are there, where files tell it at a glance."""

import csv
import difflib
import gzip
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from components.errors import BeamfleetError
from components.example_gen.source import CsvSource, HashSplit, Source, TimeSplit
from components.example_validator.expressions import check_columns as check_expressions
from pipelines import steps
from pipelines.steps import Step

Steps = Mapping[type[Step], Step]
_CSV = (".csv", ".data", ".txt", ".tsv")
"""What ExampleGen reads of a folder; also with ".gz"."""
_MOST_NAMED = 30


def check_columns(name: str, recorded: Steps) -> None:
    """Columns that are named are in the header of the CSV file, or in `columns`.

    Nothing is said where a `clean` function may add columns, and of other formats and remote
    files: the nodes look at those.

    Raises:
      BeamfleetError: names the column, where it was looked for and what it may have meant.
    """
    read, bulk = recorded.get(steps.ReadExamples), recorded.get(steps.BulkInfer)
    if isinstance(read, steps.ReadExamples) and not read.config.clean:
        _check(name, read.config.source, _named(recorded, read))
        _check_expressions(name, recorded, read)
    if isinstance(bulk, steps.BulkInfer) and not bulk.clean:
        output = [("output column", c) for c in bulk.options.get("output_columns", ())]
        _check(name, bulk.source, [*_entity(recorded), *output])


def csv_columns(source: Source) -> tuple[str, tuple[str, ...]] | None:
    """Where the columns stand and what they are; None if that takes more than a glance."""
    if not isinstance(source, CsvSource):
        return None
    if source.columns:
        return "columns=[...]", source.columns
    file = _first_file(source.paths[0])
    header = _header(file, source.delimiter) if file else ()
    return (f"the first row of {file}", header) if header else None


def _check(name: str, source: Source, named: list[tuple[str, str]]) -> None:
    known = csv_columns(source)
    if known is None:
        return
    where, columns = known
    for role, column in named:
        if column not in columns:
            close = difflib.get_close_matches(column, columns, n=1)
            hint = f"did you mean {close[0]!r}? It" if close else "it"
            raise BeamfleetError(
                f"pipeline {name!r}: {role} {column!r} is not in {where}; {hint} has "
                f"{', '.join(columns[:_MOST_NAMED])}{', ...' * (len(columns) > _MOST_NAMED)}"
            )


def _check_expressions(name: str, recorded: Steps, read: steps.ReadExamples) -> None:
    validate, known = recorded.get(steps.ValidateExamples), csv_columns(read.config.source)
    if isinstance(validate, steps.ValidateExamples) and validate.checks and known:
        where, columns = known
        check_expressions(validate.checks, columns, f"{where} (pipeline {name!r})")


def _named(recorded: Steps, read: steps.ReadExamples) -> list[tuple[str, str]]:
    """What the columns are for, and their names."""
    splits, train = read.config.splits, recorded.get(steps.TrainPerEntity)
    found = _entity(recorded)
    if isinstance(train, steps.TrainPerEntity):
        found.append(("label", train.config.label))
    if isinstance(splits, TimeSplit):
        found.append(("TimeSplit's column", splits.column))
    if isinstance(splits, HashSplit):
        found += [("HashSplit's column", column) for column in splits.columns]
    return [*found, *_evaluated(recorded)]


def _entity(recorded: Steps) -> list[tuple[str, str]]:
    train = recorded.get(steps.TrainPerEntity)
    columns = train.config.entity if isinstance(train, steps.TrainPerEntity) else ()
    return [("entity", column) for column in columns]


def _evaluated(recorded: Steps) -> Iterator[tuple[str, str]]:
    evaluate = recorded.get(steps.Evaluate)
    if not isinstance(evaluate, steps.Evaluate):
        return
    for columns in evaluate.options.get("slices", ()):
        yield from (("slice", c) for c in ([columns] if isinstance(columns, str) else columns))
    yield from (("fairness column", column) for column in evaluate.options.get("fairness", ()))


def _first_file(path: str) -> Path | None:
    """A plain local file, or the first one of a folder."""
    if "://" in path or re.search(r"[*?\[{]", path):
        return None
    if Path(path).is_file():
        return Path(path)
    listed = sorted(Path(path).iterdir()) if Path(path).is_dir() else []
    return next((f for f in listed if _is_csv(f) and not f.name.startswith((".", "_"))), None)


def _is_csv(file: Path) -> bool:
    return file.is_file() and file.name.lower().removesuffix(".gz").endswith(_CSV)


def _header(file: Path, delimiter: str) -> tuple[str, ...]:
    """Names in the first row; empty where it cannot be read: the node says why."""
    opened = gzip.open if file.name.lower().endswith(".gz") else open
    try:
        with opened(file, "rt", encoding="utf-8-sig", newline="") as lines:
            rows = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
            first = next((row for row in rows if row and row != [""]), [])
    except (OSError, EOFError, UnicodeDecodeError, csv.Error):
        return ()
    return tuple(name.rstrip(" ") for name in first)
