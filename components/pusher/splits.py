"""What happens to a split: it is ended by a promotion or by its stop rule, or guards a push.

Like a push these move one pointer, CURRENT, by one rename, under the directory's lock.
"""

from dataclasses import replace

from components.errors import BeamfleetError
from components.pusher.directory import Pointer, PushedDirectory, Version, now
from components.pusher.traffic import Split, TrafficPlan, new_split

_LOCK_WAIT_S = 600.0


class SplitRunningError(BeamfleetError):
    """Nothing is pushed while a champion and a challenger are compared."""


def promote(directory: str, label: str = "", why: str = "") -> Version:
    """Makes the challenger the champion, and ends the split.

    Args:
      directory: Pushed directory.
      label: Of the challenger; "" is the one that there is.
      why: For the history.

    Raises:
      BeamfleetError: no split, another label, a challenger that is not there any more, or the
        directory is not local.
    """
    files = PushedDirectory(directory)
    with files.writing(_LOCK_WAIT_S):
        pointer = files.pointer()
        split = _split(directory, pointer)
        if label not in ("", split.plan.challenger):
            raise BeamfleetError(
                f"{directory} has no challenger {label!r}; there is {split.plan.challenger!r}, "
                f"version {split.challenger}"
            )
        target = files.read(split.challenger)
        moved = Pointer(target.number, pointer.highest)
        before = pointer.version
        told = {"label": split.plan.challenger, "why": why}
        files.move(moved, "promote", before, target.number, **told)
        return target


def stop(directory: str, split_id: str, reason: str, wait_s: float) -> bool:
    """Writes down that a stop rule sent the challenger away; it stays on disk, with its label.

    Args:
      directory: Pushed directory.
      split_id: The split that is meant; another one in its place is left alone.
      reason: What it broke.
      wait_s: Seconds to wait for somebody who is pushing.

    Returns:
      Whether it was this call that stopped it.

    Raises:
      BeamfleetError: the directory is not local, broken, or held for longer.
    """
    files = PushedDirectory(directory)
    with files.writing(wait_s):
        pointer = files.pointer()
        split = pointer.split
        if split is None or split.id != split_id or split.stopped:
            return False
        stopped = replace(split, stopped=reason, stopped_at=now())
        moved = replace(pointer, split=stopped)
        told = {"label": split.plan.challenger, "why": reason}
        files.move(moved, "stop", split.challenger, pointer.version, **told)
        return True


def running_split(directory: str, candidate_uri: str) -> str:
    """Id of the split that keeps this candidate from being pushed; "" if none does.

    One with a challenger that was made of this very candidate is its own, so that pushing it again
    is served from the cache.
    """
    files = PushedDirectory(directory)
    split = files.pointer().split
    if split is None or not is_undecided(split):
        return ""
    challenger = files.read(split.challenger)
    return "" if challenger.details["candidate_uri"] == candidate_uri else split.id


def identical(files: PushedDirectory, fingerprint: str, plan: TrafficPlan | None) -> Version | None:
    """The champion or the challenger, if it is this very store: nothing is pushed then.

    The caller holds the directory's lock.

    Args:
      files: Pushed directory.
      fingerprint: Of the store that would be pushed.
      plan: Terms that an identical challenger is given, unless its stop rule sent it away.

    Raises:
      SplitRunningError: it is neither, and the split goes on.
    """
    pointer = files.pointer()
    current = files.read(pointer.version) if pointer.version else None
    if current and current.details["store_fingerprint"] == fingerprint:
        return current
    split = pointer.split
    if split is None:
        return None
    challenger = files.read(split.challenger)
    if challenger.details["store_fingerprint"] == fingerprint:
        if plan and plan != split.plan and not split.stopped:
            _change_terms(files, pointer, split, plan)
        return replace(challenger, label=split.plan.challenger)
    if is_undecided(split):
        raise SplitRunningError(
            f"version {split.challenger} is the {split.plan.challenger} of version "
            f"{pointer.version} in {files.uri}: end that by `beamfleet promote` or `beamfleet "
            "rollback`, then push again"
        )
    return None


def _change_terms(
    files: PushedDirectory, pointer: Pointer, split: Split, plan: TrafficPlan
) -> None:
    changed = replace(new_split(plan, pointer.version, split.challenger), id=split.id)
    moved = Pointer(pointer.version, pointer.highest, changed)
    files.move(moved, "split", pointer.version, split.challenger, label=plan.challenger)


def is_undecided(split: Split) -> bool:
    """Whether champion and challenger are compared, or will be."""
    return split.state() in ("running", "waiting")


def _split(directory: str, pointer: Pointer) -> Split:
    if pointer.split is None:
        raise BeamfleetError(
            f"{directory} has no challenger to promote: version {pointer.version} gets all "
            "requests; push with traffic={...} first, or `beamfleet rollback --to VERSION`"
        )
    return pointer.split
