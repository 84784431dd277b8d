"""A line of JSON, as history and stream read it: what one of them takes the other takes, too."""

import json
import math
import re
from typing import Any

HALF_PAIR = re.compile(rb"\\u[dD][89a-fA-F]")
"""What may be half of a pair of code units, which is no text by itself."""


def json_object(line: bytes) -> tuple[dict[str, Any] | None, str]:
    """The JSON object of a line; or none, and why.

    No JSON are NaN, Infinity, numbers beyond all floats, and text that UTF-8 cannot hold, though
    Python would read them. Of names that are there twice the first counts.
    """
    try:
        row = _DECODER.decode(line.decode())
        if HALF_PAIR.search(line):
            json.dumps(row, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        return None, f"the line is no JSON: {error}"
    if not isinstance(row, dict) or not row:
        return None, f"the line is {type(row).__name__}, expected a JSON object with columns"
    return row, ""


def _first_of_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    return made if len(made) == len(pairs) else dict(reversed(pairs))


def _finite(number: str) -> float:
    value = float(number)
    return value if math.isfinite(value) else _refused(number)


def _refused(constant: str) -> float:
    raise ValueError(f"{constant} is no number of JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_first_of_each, parse_float=_finite, parse_constant=_refused
)
