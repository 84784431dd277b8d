"""Keeps secrets that addresses may hold out of everything that is written or printed."""

import re
from typing import Any

_USER = re.compile(r"(?<=://)[^\s/@]*@")
_QUERY = re.compile(r"(?<=://)([^\s?#\"']*)\?[^\s#\"']*")


def without_credentials(text: str) -> str:
    """A text whose addresses have lost their `user:password@` and their `?query`."""
    return _QUERY.sub(r"\1?...", _USER.sub("***@", text))


def cleaned(value: Any) -> Any:
    """The same of all texts in a structure."""
    if isinstance(value, str):
        return without_credentials(value)
    if isinstance(value, list | tuple):
        return [cleaned(one) for one in value]
    if isinstance(value, dict):
        return {name: cleaned(one) for name, one in value.items()}
    return value
