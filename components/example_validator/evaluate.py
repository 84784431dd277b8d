"""Evaluates checks on one split."""

import re
from collections.abc import Iterator
from typing import Any

import duckdb

from components.errors import BeamfleetError
from components.example_validator.database import MEMORY, SplitTables, open_split
from components.example_validator.expressions import Checks, first_line, quoted
from components.examples.read import ExamplesSplit
from components.words import counted

_NAMED_ROWS, _NAMED_COLUMNS, _SHOWN = 3, 4, 40


def failed_checks(
    checks: Checks, examples: ExamplesSplit, statistics: str
) -> list[tuple[str, str]]:
    """The checks that do not hold: (name, what was found in words).

    Whatever is not true does not hold: false, NULL, and what cannot be computed of these values.

    Args:
      checks: what has to be true.
      examples: one split.
      statistics: file of its statistics.

    Raises:
      BeamfleetError: an expression names an unknown column, is not true or false, or needs more
        memory than there is; before any row is read, where that shows.
    """
    with open_split(examples, statistics) as tables:
        for name, expression in checks.of_split.items():
            _bind(tables, name, expression, of_row=False)
        for name, expression in checks.of_row.items():
            _bind(tables, name, expression, of_row=True)
        found = [(n, _of_split(tables, n, e)) for n, e in checks.of_split.items()]
        found += [(n, _of_rows(tables, n, e)) for n, e in checks.of_row.items()]
    return [(name, f"check {name!r}: {why}") for name, why in found if why]


def _bind(tables: SplitTables, name: str, expression: str, *, of_row: bool) -> None:
    """Refuses what DuckDB cannot make sense of, by the columns and their types."""
    # Beside a plain column an aggregate is refused, and the other way round.
    query = (
        f"SELECT (\n{expression}\n), {quoted(tables.columns[0])} FROM examples"  # noqa: S608
        if of_row
        else f"SELECT (\n{expression}\n) FROM examples GROUP BY ()"  # noqa: S608
    )
    try:
        columns = tables.connection.execute(f"DESCRIBE {query}").fetchall()
    except duckdb.Error as error:
        hint = _hint(str(error), of_row=of_row)
        raise BeamfleetError(f"check {name!r} ({expression}): {first_line(error)}{hint}") from None
    kinds = [str(kind) for _, kind, *_ in columns][: len(columns) - of_row]
    if kinds not in (["BOOLEAN"], ['"NULL"'], ["NULL"]):
        raise BeamfleetError(
            f"check {name!r} ({expression}) is {', '.join(kinds)}, expected BOOLEAN: compare it, "
            "as in `min(fare) > 0`"
        )


def _hint(message: str, *, of_row: bool) -> str:
    if "GROUP BY" not in message and "aggregate" not in message.lower():
        return ""
    return (
        "; a row check looks at one row: what is about all of them goes into checks={...}"
        if of_row
        else "; what has to hold for every row goes into row_checks={...}"
    )


def _of_split(tables: SplitTables, name: str, expression: str) -> str:
    """Why it does not hold; empty if it does."""
    query = f"SELECT (\n{expression}\n) FROM examples GROUP BY ()"  # noqa: S608
    rows = _asked(tables, name, expression, query)
    if isinstance(rows, str):
        return rows
    [[holds]] = rows
    if holds:
        return ""
    return f"{expression} is {'NULL' if holds is None else 'false'}"


def _of_rows(tables: SplitTables, name: str, expression: str) -> str:
    """Why it does not hold, with the first rows; empty if it does."""
    query = (
        "SELECT count(*), count(*) FILTER (_ok IS FALSE), count(*) FILTER (_ok IS NULL) "  # noqa: S608
        f"FROM (SELECT (\n{expression}\n) AS _ok FROM examples)"
    )
    rows = _asked(tables, name, expression, query)
    if isinstance(rows, str):
        return rows
    [[everything, false, null]] = rows
    if not false and not null:
        return ""
    parts = [f"false for {false:,}"] if false else []
    parts += [f"NULL for {null:,}"] if null else []
    first = "; ".join(_first_rows(tables, name, expression))
    return f"{expression} is {' and '.join(parts)} of {counted(everything, 'row')}: {first}"


def _first_rows(tables: SplitTables, name: str, expression: str) -> Iterator[str]:
    named = _mentioned(expression, tables.columns)
    shown = "".join(f", {quoted(column)}" for column in named)
    query = (
        f"SELECT _file, _row{shown} FROM "  # noqa: S608
        f"(SELECT *, (\n{expression}\n) AS _ok FROM ({tables.numbered}) AS examples) "
        f"WHERE _ok IS NOT TRUE ORDER BY _file, _row LIMIT {_NAMED_ROWS}"
    )
    rows = _asked(tables, name, expression, query)
    if isinstance(rows, str):
        yield rows
        return
    for file, row, *values in rows:
        pairs = ", ".join(f"{c} = {_short(v)}" for c, v in zip(named, values, strict=True))
        yield f"row {row + 1:,} of {file}" + (f" ({pairs})" if pairs else "")


def _asked(
    tables: SplitTables, name: str, expression: str, query: str
) -> list[tuple[Any, ...]] | str:
    """The rows of a query; a text: why these values give none."""
    try:
        return tables.connection.execute(query).fetchall()
    except duckdb.OutOfMemoryException as error:
        raise BeamfleetError(
            f"check {name!r} ({expression}) needs more than {MEMORY}: {first_line(error)}"
        ) from None
    except duckdb.Error as error:
        return f"{expression} cannot be computed: {first_line(error)}"


def _mentioned(expression: str, columns: tuple[str, ...]) -> list[str]:
    words = {word.lower() for word in re.findall(r"\w+", expression)}
    return [column for column in columns if column.lower() in words][:_NAMED_COLUMNS]


def _short(value: object) -> str:
    text = "NULL" if value is None else repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
