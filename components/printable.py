"""Text of others as a terminal may see it: whatever it holds, it is only text."""

import re

_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Controls (a terminal obeys them), line separators, what turns the direction, lone surrogates."""


def printable(text: str) -> str:
    r"""Shows what is not to be seen as its escape: `\x1b`, `\n`, `\u202e`."""
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)
