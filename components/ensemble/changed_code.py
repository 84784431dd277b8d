"""Says what of an ensemble's code is not as it was when the ensemble was written."""

import functools
import logging
from collections.abc import Iterator, Mapping

LOG = logging.getLogger(__name__)

_NAMED = 5


@functools.cache  # once, though each stage of a live ensemble builds all of it
def warn_of_changes(uri: str, changes: str) -> None:
    """Writes into the log what has changed, and what follows from it."""
    LOG.warning(
        "%s: %s changed since it was written; it may predict otherwise than it was evaluated: run "
        "the pipeline again to have it evaluated and pushed anew",
        uri,
        changes,
    )


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Names what differs between two results of `code_parts`; where one is empty, its code."""
    names = list(_changes(before, now)) if before else []
    more = [f"{len(names) - _NAMED} more"] if len(names) > _NAMED else []
    return ", ".join([*names[:_NAMED], *more]) or "its code or libraries"


def _changes(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    for name in sorted({*before, *now}):
        old, new = before.get(name, ""), now.get(name, "")
        if old != new:
            is_file = "." in name  # its state is a hash, which says nothing to anybody
            yield name if is_file else f"{name} ({old or 'none'}, now {new or 'none'})"
