"""Checks that people write as SQL expressions: what they may be, before there are any rows."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from components.errors import BeamfleetError

STATISTICS = """
CREATE TABLE statistics (
  split VARCHAR, name VARCHAR, type VARCHAR, rows BIGINT, missing BIGINT, missing_share DOUBLE,
  mean DOUBLE, std DOUBLE, min DOUBLE, max DOUBLE, median DOUBLE, zeros BIGINT,
  distinct_values BIGINT, top_value VARCHAR, top_share DOUBLE, avg_length DOUBLE)
"""
"""The table of statistics: one row for each column of the split."""
_UNKNOWN_COLUMN = re.compile(r'Referenced column "(.+?)" (?:was )?not found')


@dataclass(frozen=True)
class Checks:
    """DuckDB expressions by name; the name is what anomalies and errors say."""

    of_split: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Over all rows of a split: `min(fare) > 0`."""
    of_row: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Of each row: `tips <= fare`."""

    def __post_init__(self) -> None:
        """Refuses what is no single expression, such as `true; drop table examples`."""
        if both := sorted(self.of_split.keys() & self.of_row.keys()):
            raise ValueError(f"{both} name a check and a row check: give each a name of its own")
        for name, expression in self.all():
            if not isinstance(expression, str) or not name.strip():
                raise ValueError(
                    f"check {name!r} is {expression!r}, expected a name and an SQL expression, "
                    'such as {"fares are positive": "min(fare) > 0"}'
                )
            _check_syntax(name, expression)

    def __bool__(self) -> bool:
        return bool(self.of_split or self.of_row)

    def all(self) -> Iterator[tuple[str, str]]:
        """(name, expression) pairs."""
        yield from self.of_split.items()
        yield from self.of_row.items()

    def to_json(self) -> str:
        # Not sorted: anomalies come in the order in which the checks were written.
        return json.dumps(asdict(self)) if self else ""

    @classmethod
    def from_json(cls, text: str) -> "Checks":
        return cls(**json.loads(text)) if text else cls()


def check_columns(checks: Checks, columns: Sequence[str], where: str) -> None:
    """The columns that the expressions name are there, as far as it shows without their types.

    Args:
      checks: any.
      columns: those of the rows.
      where: where they stand, for the error.

    Raises:
      BeamfleetError: names the check, the column, and what it may have meant.
    """
    import duckdb

    names = ", ".join(f"{quoted(name)} VARCHAR" for name in columns)
    with duckdb.connect(":memory:", config={"autoload_known_extensions": "false"}) as connection:
        connection.execute("SET enable_external_access = false")
        try:
            connection.execute(STATISTICS)
            connection.execute("CREATE MACRO split_name() AS ''")
            connection.execute(f"CREATE TABLE examples ({names})")
        except duckdb.Error:
            return  # names that differ by case only: the node says so
        for name, expression in checks.all():
            try:
                connection.execute(f"DESCRIBE SELECT (\n{expression}\n) FROM examples")  # noqa: S608
            except duckdb.Error as error:
                if found := _UNKNOWN_COLUMN.search(str(error)):
                    raise BeamfleetError(
                        f"check {name!r} ({expression}): column {found[1]!r} is not in {where}; "
                        f"it has {', '.join(columns)}"
                    ) from None


def quoted(name: str) -> str:
    """A name as SQL takes any."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as SQL takes any."""
    return "'" + text.replace("'", "''") + "'"


def first_line(error: Exception) -> str:
    """What DuckDB says, without its drawing of the place and all functions of that name."""
    text = re.split(r"\n+LINE|\n\s*Candidate functions", str(error), maxsplit=1)[0]
    return " ".join(text.split())[:500]


def _check_syntax(name: str, expression: str) -> None:
    import duckdb

    # With and without parentheses: neither `1; drop table x` nor `true) from x where (true` is
    # an expression both ways.
    for text in (expression, f"(\n{expression}\n)"):
        try:
            duckdb.SQLExpression(text)
        except duckdb.Error as error:
            raise ValueError(
                f"check {name!r}: {expression!r} is not one SQL expression: {first_line(error)}"
            ) from None
    if re.search(r"(?<!\w)[$?]", re.sub(r"'[^']*'|\"[^\"]*\"", "", expression)):
        raise ValueError(f"check {name!r}: {expression!r} has a parameter ($, ?): write its value")
