"""Names as a person may see them."""

from collections.abc import Iterable


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
