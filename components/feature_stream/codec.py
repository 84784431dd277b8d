"""State as JSON: what is read back may have been written by anyone, so nothing is unpickled."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from components.errors import BeamfleetError

_EPOCH = datetime(1970, 1, 1)
_US = timedelta(microseconds=1)


def encoded(value: Any) -> bytes:
    """A value of plain Python types as bytes.

    Raises:
      BeamfleetError: it holds something else, such as an object of a class of one's own.
    """
    return json.dumps(_plain(value), separators=(",", ":")).encode()


def decoded(content: bytes) -> Any:
    """The value that `encoded` was given."""
    return _value(json.loads(content))


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if type(value) is list:
        return [_plain(one) for one in value]
    for name, (kind, to_plain, _) in _KINDS.items():
        if type(value) is kind:
            return {name: to_plain(value)}
    raise BeamfleetError(
        f"the state of a stream cannot keep {type(value).__name__}; let values of events "
        "and states of aggregators be None, bool, int, float, str, bytes, datetime, date, "
        "timedelta, or tuples, lists, dicts and sets of these"
    )


def _value(plain: Any) -> Any:
    if isinstance(plain, list):
        return [_value(one) for one in plain]
    if isinstance(plain, dict):
        [(name, content)] = plain.items()
        return _KINDS[name][2](content)
    return plain


def _all_plain(values: Any) -> list[Any]:
    return [_plain(one) for one in values]


def _all_values(plain: list[Any]) -> list[Any]:
    return [_value(one) for one in plain]


def _microseconds(time: datetime) -> list[Any]:
    """Since 1970, and whether in UTC or without a zone."""
    aware = time.tzinfo is not None
    bare = time.astimezone(UTC).replace(tzinfo=None) if aware else time
    return [(bare - _EPOCH) // _US, aware]


def _time(plain: list[Any]) -> datetime:
    bare: datetime = _EPOCH + plain[0] * _US
    return bare.replace(tzinfo=UTC) if plain[1] else bare


_KINDS: dict[str, tuple[type, Callable[[Any], Any], Callable[[Any], Any]]] = {
    "t": (tuple, _all_plain, lambda plain: tuple(_all_values(plain))),
    "m": (
        dict,
        lambda value: [[_plain(k), _plain(v)] for k, v in value.items()],
        lambda plain: {_value(k): _value(v) for k, v in plain},
    ),
    "d": (datetime, _microseconds, _time),
    "y": (date, date.toordinal, date.fromordinal),
    "x": (timedelta, lambda value: value // _US, lambda plain: plain * _US),
    "b": (bytes, lambda v: base64.b64encode(v).decode(), base64.b64decode),
    "s": (set, _all_plain, lambda plain: set(_all_values(plain))),
    "f": (frozenset, _all_plain, lambda plain: frozenset(_all_values(plain))),
}
