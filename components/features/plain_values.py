"""Constants as JSON values that are the same on every machine and Python."""

import datetime
import decimal
import fractions
import hashlib
import logging
import math
import pathlib
import re
import sys
import uuid
import zoneinfo
from typing import Any

_BY_REPR = (
    complex, range, slice, datetime.datetime, datetime.date, datetime.time, datetime.timedelta,
    datetime.timezone, decimal.Decimal, fractions.Fraction, uuid.UUID, zoneinfo.ZoneInfo,
    type(Ellipsis), type(NotImplemented),
)  # fmt: skip


def plain_value(value: Any) -> Any:
    """JSON values of a constant; None: it is none of them."""
    kind = type(value)
    if kind in (bool, int, str) or (kind is float and math.isfinite(value)):
        return value
    if kind in (float, *_BY_REPR):
        return {kind.__name__: repr(value)}
    if kind in (bytes, bytearray):
        return {kind.__name__: hashlib.sha256(value).hexdigest()}
    if isinstance(value, pathlib.PurePath):
        return {"path": value.as_posix()}
    if isinstance(value, re.Pattern):
        return {"pattern": [plain_value(value.pattern), value.flags]}
    if isinstance(value, logging.Logger):  # says something, changes nothing
        return {"logger": ""}
    return _of_numpy(value) if "numpy" in sys.modules and _of_numpy(value) else _of_polars(value)


def _of_numpy(value: Any) -> Any:
    import numpy as np

    if isinstance(value, np.dtype):
        return {"dtype": value.str}
    if not isinstance(value, (np.ndarray, np.generic)):
        return None
    if value.dtype.hasobject:
        return {"array": [list(value.shape), [plain_value(one) for one in value.ravel().tolist()]]}
    content = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
    return {"array": [value.dtype.str, list(value.shape), content]}


def _of_polars(value: Any) -> Any:
    if "polars" not in sys.modules:
        return None
    import polars as pl

    if isinstance(value, pl.DataType):
        return {"dtype": repr(value)}
    if isinstance(value, pl.Expr):
        return {"expression": str(value)}
    if isinstance(value, pl.Series):
        return {"series": [value.name, str(value.dtype), _hashed(value.to_list())]}
    if isinstance(value, pl.DataFrame):
        columns = [[name, str(kind)] for name, kind in value.schema.items()]
        return {"frame": [columns, _hashed(value.rows())]}
    return None


def _hashed(values: list[Any]) -> str:
    return hashlib.sha256(repr(values).encode()).hexdigest()
