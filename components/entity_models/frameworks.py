"""Codecs of the frameworks that have a safe format of their own."""

from collections.abc import Callable

CODECS: dict[str, tuple[Callable[[object], bytes], Callable[[bytes], object]]] = {}
