"""Names and captions as a person may see them: whatever they hold, they are only text."""

import re
from collections.abc import Iterable

_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Controls (a terminal obeys them), line separators, what turns the direction, lone surrogates."""


def printable(text: str) -> str:
    r"""Shows what is not to be seen as its escape: `\x1b`, `\n`, `\u202e`."""
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def natural(text: str) -> list[tuple[int, str]]:
    """Sorts names as people do: 2.png before 10.png, whatever the case."""
    # Text and numbers alternate; a number of more digits is larger, however many these are.
    parts = re.split(r"0*(\d+)", text.casefold())
    return [(len(part) * (place % 2), part) for place, part in enumerate(parts)]


def common_folder(uris: Iterable[str]) -> str:
    """The longest folder that all of them begin with, with its last slash; empty if there is none.

    Without it the names are short and still differ where the paths do.
    """
    folder: str | None = None
    for uri in uris:
        if folder is None:
            folder = uri[: uri.rfind("/") + 1]
        while not uri.startswith(folder):
            folder = folder[: folder.rfind("/", 0, -1) + 1]
    return folder or ""
