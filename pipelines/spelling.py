"""Guesses which word was meant by a misspelt one."""

import difflib
from collections.abc import Iterable


def meant(word: str, words: Iterable[str]) -> str:
    """`"; did you mean 'x'?"` of the closest word, "" where none is close."""
    close = difflib.get_close_matches(word, list(words), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
