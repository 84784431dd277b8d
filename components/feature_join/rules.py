"""What is joined, and what a label may see."""

from dataclasses import dataclass

import polars as pl
from polars.exceptions import InvalidOperationError

from components.errors import BeamfleetError
from components.feature_values.keyed import as_time
from components.features.service import Boundary

CREATED = "created"


@dataclass(frozen=True)
class Rules:
    """A label of time t is given the row of its keys that was valid at t - offset_us."""

    keys: tuple[str, ...]
    """Columns of labels and log; text or integers."""
    label_time: str
    """Column of the labels."""
    features: tuple[str, ...]
    """Columns of the log."""
    ttl_us: int | None
    """A row that is older than this at t - offset_us gives nulls; inclusive. None: it stays."""
    boundary: Boundary
    """Whether a row of t - offset_us itself may be seen ("inclusive") or not ("strict")."""
    offset_us: int = 0
    as_known: bool = False
    """Only rows that had been created by then, too; the boundary holds for `created` as well."""
    time: str = "valid_from"
    """Column of the log."""

    def __post_init__(self) -> None:
        if not self.keys or not self.features:
            raise BeamfleetError("point-in-time join: expected a key and a feature at least")
        if self.boundary not in ("strict", "inclusive"):
            raise BeamfleetError(
                f'point-in-time join: boundary is {self.boundary!r}, expected "strict" or '
                '"inclusive"'
            )
        if self.offset_us < 0 or (self.ttl_us is not None and self.ttl_us < 0):
            raise BeamfleetError(
                f"point-in-time join: offset is {self.offset_us} us and ttl {self.ttl_us} us, "
                "expected 0 or more; a negative offset would look into the future"
            )
        if twice := sorted({name for name in self.features if self.features.count(name) > 1}):
            raise BeamfleetError(f"point-in-time join: feature {', '.join(twice)} is there twice")

    def check_labels(self, columns: list[str]) -> None:
        """Raises BeamfleetError unless the keys and the time are there, and no feature is."""
        _check_there([*self.keys, self.label_time], columns, "labels")
        if both := [name for name in self.features if name in columns]:
            raise BeamfleetError(
                f"point-in-time join: {', '.join(both)} is a column of the labels and a feature; "
                "rename the column of the labels, or leave the feature out"
            )

    def log_columns(self, columns: list[str]) -> list[str]:
        """The columns of the log that are read, each once.

        Raises:
          BeamfleetError: one is missing.
        """
        needed = [*self.keys, self.time, *([CREATED] if self.as_known else []), *self.features]
        _check_there(needed, columns, "log")
        return list(dict.fromkeys([*needed, *([CREATED] if CREATED in columns else [])]))


def key_series(frame: pl.DataFrame, name: str, what: str) -> pl.Series:
    """A key as text or as 64-bit integers.

    Raises:
      BeamfleetError: it is neither, or an integer is beyond 64 bits.
    """
    values = frame[name]
    if values.dtype in (pl.String, pl.Categorical, pl.Enum):
        return values.cast(pl.String)
    if values.dtype != pl.Null and not values.dtype.is_integer():
        raise BeamfleetError(
            f"point-in-time join: key {name} of the {what} is {values.dtype}, expected text or "
            "integers"
        )
    try:
        return values if values.dtype == pl.Null else values.cast(pl.Int64)
    except InvalidOperationError as error:
        raise BeamfleetError(
            f"point-in-time join: key {name} of the {what} has integers beyond 64 bits; cast it to "
            "text in labels and log"
        ) from error


def time_series(frame: pl.DataFrame, name: str, what: str) -> pl.Series:
    """A time as microseconds since 1970, UTC; null where it is null.

    Raises:
      BeamfleetError: it is no time, or a text cannot be read.
    """
    given = frame[name]
    times = as_time(given, f"point-in-time join: {name} of the {what}")
    if times.null_count() > given.null_count():
        row = (times.is_null() & given.is_not_null()).arg_max()
        raise BeamfleetError(
            f"point-in-time join: {name} of the {what} is no time in row {row}; expected text such "
            "as 2024-05-01T12:30:00Z"
        )
    return times.to_physical()


def _check_there(needed: list[str], columns: list[str], what: str) -> None:
    if missing := [name for name in dict.fromkeys(needed) if name not in columns]:
        raise BeamfleetError(
            f"point-in-time join: the {what} have no column {', '.join(missing)}; they have "
            f"{', '.join(columns)}".replace("the log have", "the log has")
        )
