"""Points in Redis: a hash for each entity, changed by a script, which Redis runs alone.

Its fields are valid_from, its values created and value; both times are 20 digits, so that their
order as text is their order in time (the numbers of a script hold 53 bits only). Whether a crash of
Redis itself loses writes is up to its settings (appendonly); a Redis that evicts keys loses values.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby

import redis

from components.errors import BeamfleetError
from components.online_store.points import Point

_PREFIX = "beamfleet:online:"
_DIGITS = 20
_ASKED = 500
"""Entities of one script call: others wait for it."""
_SCANNED = 10_000
_TIMEOUT_S = 10.0

_PUT = """
local now, at, written = ARGV[1], 2, 0
local function holding(key)
  local newest
  local known = redis.call('HKEYS', key)
  for _, one in ipairs(known) do
    if one <= now and (not newest or one > newest) then newest = one end
  end
  return newest, known
end
for _, key in ipairs(KEYS) do
  local newest = holding(key)
  for _ = 1, tonumber(ARGV[at]) do
    local valid_from, value = ARGV[at + 1], ARGV[at + 2]
    at = at + 2
    local stored = redis.call('HGET', key, valid_from)
    local late = newest and valid_from < newest
    if not late and not (stored and string.sub(stored, 1, 20) > string.sub(value, 1, 20)) then
      redis.call('HSET', key, valid_from, value)
      written = written + 1
    end
  end
  at = at + 1
  local holds, known = holding(key)
  for _, one in ipairs(known) do
    if holds and one < holds then redis.call('HDEL', key, one) end
  end
end
return written
"""
_GET = """
local values = {}
for place, key in ipairs(KEYS) do
  local newest
  for _, one in ipairs(redis.call('HKEYS', key)) do
    if one <= ARGV[1] and (not newest or one > newest) then newest = one end
  end
  values[place] = newest and redis.call('HGET', key, newest) or false
end
return values
"""


class RedisDatabase:
    """Keeps points in one Redis; a cluster, which splits keys, is none."""

    def __init__(self, uri: str, shown: str) -> None:
        self._shown = shown
        try:
            self._redis = redis.Redis.from_url(
                uri, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S
            )
        except ValueError:  # its text may have parts of the URI
            raise BeamfleetError(
                f"online store {shown}: this is no URI of a Redis; expected redis://HOST:PORT/DB, "
                "with characters such as '/' or '@' in a password written as %2F or %40"
            ) from None
        self._put = self._redis.register_script(_PUT)
        self._get = self._redis.register_script(_GET)

    def remember(self, view: str, schema: str) -> str:
        name = f"{_PREFIX}columns:{view}"
        with self._errors():
            self._redis.set(name, schema, nx=True)
            stored = self._redis.get(name)
        assert isinstance(stored, bytes)
        return stored.decode()

    def put(self, view: str, points: Sequence[Point], now: int) -> int:
        entities = [(key, [*rows]) for key, rows in groupby(points, key=lambda point: point[0])]
        written = 0
        with self._errors():
            for first in range(0, len(entities), _ASKED):
                part = entities[first : first + _ASKED]
                arguments: list[str | bytes | int] = [_digits(now)]
                for _, rows in part:
                    arguments.append(len(rows))
                    for _, valid_from, created, value in rows:
                        arguments += [_digits(valid_from), _digits(created).encode() + value]
                written += int(self._put(_keys(view, [key for key, _ in part]), arguments))
        return written

    def get(self, view: str, entities: Sequence[bytes], now: int) -> Mapping[bytes, bytes]:
        found: dict[bytes, bytes] = {}
        with self._errors():
            for first in range(0, len(entities), _ASKED):
                asked = entities[first : first + _ASKED]
                values = self._get(_keys(view, asked), [_digits(now)])
                pairs = zip(asked, values, strict=True)
                found |= {entity: value[_DIGITS:] for entity, value in pairs if value}
        return found

    def any(self, view: str) -> bool:
        # The names of views have none of the characters that a pattern gives a meaning.
        keys = self._redis.scan_iter(f"{_PREFIX}{view}:*", count=_SCANNED)
        with self._errors():
            return next(keys, None) is not None

    def close(self) -> None:
        self._redis.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except redis.AuthenticationError:
            raise BeamfleetError(
                f"online store {self._shown}: Redis wants another user or password"
            ) from None
        except redis.RedisError as error:
            raise BeamfleetError(
                f"online store {self._shown}: {type(error).__name__}: {error}; is Redis running "
                "there, and may this user read and write keys and run scripts?"
            ) from None


def _keys(view: str, entities: Sequence[bytes]) -> list[bytes]:
    return [f"{_PREFIX}{view}:".encode() + entity for entity in entities]


def _digits(time: int) -> str:
    return f"{time + (1 << 63):0{_DIGITS}d}"
