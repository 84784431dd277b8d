"""What ExampleGen reads and how it splits the rows: frozen configuration with a JSON round trip."""

import json
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

SPAN, VERSION = "{SPAN}", "{VERSION}"
"""In paths: a number that grows with time, and the number of the attempt at it."""
COLUMN_TYPES = ("string", "int64", "double")
PAYLOADS = ("parquet", "tf_example")


@dataclass(frozen=True)
class CsvSource:
    """Comma-separated text, plain or gzipped, UTF-8 with or without a byte order mark.

    Values are read as Python's `csv` module reads them with `skipinitialspace=True`: spaces after
    a delimiter are no part of a value (nor, here, spaces before one), quoted values may hold
    delimiters, line breaks and spaces, blank lines are skipped.
    """

    paths: tuple[str, ...]
    """Files, folders or glob patterns; may hold `{SPAN}`, see `span`, and `{VERSION}`, of which
    the highest is read."""
    columns: tuple[str, ...] = ()
    """Column names of files without a header; empty: each file's first row names its columns."""
    types: tuple[tuple[str, str], ...] = ()
    """(column, "string" | "int64" | "double") pairs; a value that does not fit its type rejects
    its row. Columns that are not named get the narrowest type that fits all their values; there,
    numbers with leading zeros (`02108`) are words."""
    null_values: tuple[str, ...] = ("", "?")
    """Words that mean "missing", quoted or not."""
    delimiter: str = ","
    span: int | None = None
    """Newest span to read where a path holds `{SPAN}`; None: the newest that is there."""
    window: int = 1
    """How many numbers back from it are read together; those that are not there are noted."""
    back: int = 0
    """1: the newest span before that one, and so on; nothing at all is read where there is none."""

    def __post_init__(self) -> None:
        _check_paths(self.paths)
        _check_spans(self.paths, self.window, self.back)
        _check_types(self.types)
        _check_unique("columns", self.columns)
        unknown = {name for name, _ in self.types} - set(self.columns)
        if self.columns and unknown:
            raise ValueError(f"types name columns that are not in columns: {sorted(unknown)}")
        if len(self.delimiter) != 1 or self.delimiter in '" \r\n' or not self.delimiter.isascii():
            raise ValueError(f"delimiter must be one plain character, got {self.delimiter!r}")


@dataclass(frozen=True)
class ParquetSource:
    """Parquet files of plain columns, or of list columns with at most one value a row."""

    paths: tuple[str, ...]
    """Files, folders or glob patterns; may hold `{SPAN}`, see `span`, and `{VERSION}`, of which
    the highest is read."""
    types: tuple[tuple[str, str], ...] = ()
    """(column, "string" | "int64" | "double") pairs, as in CsvSource."""
    span: int | None = None
    """Newest span to read where a path holds `{SPAN}`; None: the newest that is there."""
    window: int = 1
    """How many numbers back from it are read together; those that are not there are noted."""
    back: int = 0
    """1: the newest span before that one, and so on; nothing at all is read where there is none."""

    def __post_init__(self) -> None:
        _check_paths(self.paths)
        _check_spans(self.paths, self.window, self.back)
        _check_types(self.types)


@dataclass(frozen=True)
class TFRecordSource:
    """TFRecord files (plain or gzipped) of tf.Example with at most one value a feature."""

    paths: tuple[str, ...]
    """Files, folders or glob patterns; may hold `{SPAN}`, see `span`, and `{VERSION}`, of which
    the highest is read."""
    types: tuple[tuple[str, str], ...] = ()
    """(column, "string" | "int64" | "double") pairs, as in CsvSource."""
    span: int | None = None
    """Newest span to read where a path holds `{SPAN}`; None: the newest that is there."""
    window: int = 1
    """How many numbers back from it are read together; those that are not there are noted."""
    back: int = 0
    """1: the newest span before that one, and so on; nothing at all is read where there is none."""

    def __post_init__(self) -> None:
        _check_paths(self.paths)
        _check_spans(self.paths, self.window, self.back)
        _check_types(self.types)


@dataclass(frozen=True)
class HashSplit:
    """Splits by a hash of the row's content: the same row lands in the same split on every run,
    on every machine and in every order of the files.
    """

    weights: tuple[tuple[str, int], ...] = (("train", 2), ("eval", 1))
    """(split, share) pairs; one pair puts all rows into that split."""
    columns: tuple[str, ...] = ()
    """Columns to hash, so that rows with the same key stay together; empty: the whole row."""

    def __post_init__(self) -> None:
        _check_unique("splits", tuple(name for name, _ in self.weights))
        for name, weight in self.weights:
            _check_split_name(name)
            if weight < 1:
                raise ValueError(f"weight of split {name!r} must be >= 1, got {weight}")
        if not self.weights:
            raise ValueError("HashSplit needs at least one split")

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.weights)


@dataclass(frozen=True)
class TimeSplit:
    """Rows before `eval_from - gap` are `train`, from `eval_from` on `eval`.

    Rows within the gap belong to no split and are counted as `rows_gap`.
    """

    column: str
    """Event time: a number in any unit, or ISO 8601 text (without an offset it is UTC)."""
    eval_from: float | str
    """First moment of `eval`: a number in the column's unit, or ISO 8601 text."""
    gap: float = 0.0
    """Width of the gap: in the column's unit if that is a number, in seconds if it is text."""

    def __post_init__(self) -> None:
        if not self.column:
            raise ValueError("TimeSplit needs the name of a column")
        if not self.gap >= 0:
            raise ValueError(f"gap must be >= 0, got {self.gap}")
        if isinstance(self.eval_from, str):
            datetime.fromisoformat(self.eval_from)

    @property
    def names(self) -> tuple[str, ...]:
        return ("train", "eval")


@dataclass(frozen=True)
class GivenSplit:
    """The source's own files are `train`; `eval` has files of its own."""

    eval_paths: tuple[str, ...]
    """Files, folders or glob patterns of the same format; may hold `{SPAN}`."""

    def __post_init__(self) -> None:
        _check_paths(self.eval_paths)

    @property
    def names(self) -> tuple[str, ...]:
        return ("train", "eval")


Source = CsvSource | ParquetSource | TFRecordSource
Splits = HashSplit | TimeSplit | GivenSplit


@dataclass(frozen=True)
class IngestConfig:
    """Everything that ExampleGen does to the rows."""

    source: Source
    splits: Splits = field(default_factory=HashSplit)
    clean: str = ""
    """Dotted path of a `clean_fn(table: pa.Table) -> pa.Table` that keeps the number of rows, run
    before the split; empty: none."""
    max_rejected_share: float = 0.01
    """Share of the rows that may be rejected before the run stops, 0 to 1."""
    payload: str = "parquet"
    """"parquet", or "tf_example" (gzipped TFRecord) for stock components that need it."""

    def __post_init__(self) -> None:
        if not 0 <= self.max_rejected_share <= 1:
            raise ValueError(f"max_rejected_share is {self.max_rejected_share}, expected 0 to 1")
        if self.payload not in PAYLOADS:
            raise ValueError(f"payload must be one of {PAYLOADS}, got {self.payload!r}")

    def to_json(self) -> str:
        document = {
            **asdict(self),
            "source": {"kind": type(self.source).__name__, **asdict(self.source)},
            "splits": {"kind": type(self.splits).__name__, **asdict(self.splits)},
        }
        return json.dumps(document, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "IngestConfig":
        document = json.loads(text)
        source = _construct((CsvSource, ParquetSource, TFRecordSource), document.pop("source"))
        splits = _construct((HashSplit, TimeSplit, GivenSplit), document.pop("splits"))
        return cls(source=source, splits=splits, **document)


def _construct(classes: tuple[type, ...], fields: dict[str, Any]) -> Any:
    kind = fields.pop("kind")
    by_name = {cls.__name__: cls for cls in classes}
    return by_name[kind](**{name: _tupled(value) for name, value in fields.items()})


def _tupled(value: Any) -> Any:
    return tuple(_tupled(item) for item in value) if isinstance(value, list) else value


def _check_paths(paths: object) -> None:
    if not isinstance(paths, tuple) or not paths or not all(paths):
        raise ValueError(f"paths must be a tuple of files, folders or patterns, got {paths!r}")


def _check_spans(paths: tuple[str, ...], window: int, back: int) -> None:
    if window < 1 or back < 0:
        raise ValueError(f"window must be >= 1 and back >= 0, got {window} and {back}")
    if (window, back) != (1, 0) and not any(SPAN in path for path in paths):
        raise ValueError(f"a window of spans needs {SPAN} in a path, such as day-{SPAN}")


def _check_types(types: tuple[tuple[str, str], ...]) -> None:
    _check_unique("types", tuple(name for name, _ in types))
    for name, kind in types:
        if kind not in COLUMN_TYPES:
            raise ValueError(f"type of column {name!r} is {kind!r}, expected one of {COLUMN_TYPES}")


def _check_unique(what: str, names: tuple[str, ...]) -> None:
    if len(set(names)) < len(names) or not all(names):
        raise ValueError(f"{what} must be distinct and not empty, got {names}")


def _check_split_name(name: str) -> None:
    if not name.replace("_", "").replace("-", "").isalnum():
        raise ValueError(f"split {name!r}: expected letters, digits, '_' and '-'")
