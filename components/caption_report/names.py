"""Names as a person may see them."""

import re
from collections.abc import Iterable


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
