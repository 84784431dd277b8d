"""Numbered versions of a model in a pushed directory.

    <directory>/1/ 2/ ...      a whole store (entity models or an ensemble) and its version.json
    <directory>/CURRENT        {"version": 2, "highest": 3}, renamed into place last; with a
                               challenger beside the current version see `traffic.py`
    <directory>/history.jsonl  a line a push, promotion, rollback: time, action, from, to, by, why
    <directory>/models.config  of SavedModels: what TensorFlow Serving is told, see
                               `tensorflow_serving.py`

A version is there for readers once CURRENT knows its number: `highest` says up to which. What a
killed push left is hidden, and the next push removes it. A number is never given to two versions.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from components.errors import BeamfleetError
from components.files import write_whole
from components.pusher import files
from components.pusher.directory import Pointer, PushedDirectory, Version, words
from components.pusher.splits import identical
from components.pusher.staging import add_version, discard, next_number
from components.pusher.stores import PushedStore, open_store
from components.pusher.tensorflow_serving import write_config
from components.pusher.traffic import Split, TrafficPlan, new_split

__all__ = ["PushedVersions", "Version"]

_LOCK_WAIT_S = 600.0


class PushedVersions:
    """The versions in one directory. Reading takes any Beam filesystem, writing a local one."""

    def __init__(self, directory: str) -> None:
        self.directory = directory.rstrip("/") or "/"
        self._files = PushedDirectory(self.directory)

    def current(self) -> Version | None:
        """The version that is served, or None where nothing was pushed yet.

        Raises:
          BeamfleetError: CURRENT is broken or missing, or the version's folder is missing.
        """
        number = self._files.pointer().version
        return self._files.read(number) if number else None

    def traffic(self) -> tuple[Version | None, Split | None]:
        """The champion, which is the current version, and how it shares the requests.

        Raises:
          BeamfleetError: see `current`.
        """
        pointer = self._files.pointer()
        return self._files.read(pointer.version) if pointer.version else None, pointer.split

    def versions(self) -> list[Version]:
        """All pushed versions, oldest first."""
        return [self._files.read(number) for number in self._files.visible()]

    def version(self, number: int) -> Version:
        """The version of that number.

        Raises:
          BeamfleetError: there is none.
        """
        there = self._files.visible()
        if number not in there:
            raise BeamfleetError(
                f"{self.directory} has no version {number}; choose one of: {words(there)}"
            )
        return self._files.read(number)

    def baseline_for(self, *candidate_uris: str) -> int:
        """The version that an evaluation of these candidates is compared with; 0 is none.

        If the current version was pushed from these very candidates, it is the baseline of that
        time, so that evaluating and pushing the same ones again is served from the cache. With
        another one among them it is a new contest, against the current version.
        """
        current = self.current()
        if current is None:
            return 0
        if _contest(current) == sorted(candidate_uris):
            return int(current.details["baseline_version"])
        return current.number

    def directory_id(self) -> str:
        """Random text that is made with the directory: another one in its place has another."""
        with self._files.writing(_LOCK_WAIT_S):
            path = self._files.root / ".id"
            if not path.exists():
                write_whole(str(path), uuid.uuid4().hex.encode())
            return path.read_text(encoding="utf-8")

    def push(
        self,
        model_uri: str,
        candidate_uri: str,
        baseline_version: int,
        keep: int,
        plan: TrafficPlan | None = None,
        approval: Mapping[str, str] | None = None,
        rivals: Sequence[str] = (),
    ) -> Version:
        """Copies a store into a new version and makes it the current one, or a challenger.

        A store that is identical to the current one or to the challenger makes no new version:
        that one is returned, with `new` False.

        Args:
          model_uri: The store, on any Beam filesystem.
          candidate_uri: The trainer's model that it was composed from; itself, if it was not.
          baseline_version: The version that it was composed over and compared with; 0 is none.
          keep: How many of the newest versions stay, 1 or more; the current version, the one
            before it and a challenger stay in any case.
          plan: With it the new version becomes the challenger of the current one, if there is one.
            A challenger that is there already gets these terms.
          approval: Who approved it: run, by, user, time, why.
          rivals: The other candidates that it was chosen from.

        Raises:
          SplitRunningError: another version is the challenger.
          BeamfleetError: remote or foreign directory, broken store, another kind or interface
            than the current version's, or another version became current since the evaluation.
        """
        if keep < 1:
            raise BeamfleetError(f"keep at least 1 version, not {keep}")
        if plan:
            plan.check_time()
        store = open_store(model_uri)
        if plan and plan.shadow and store.kind == "an ensemble":
            raise BeamfleetError(
                f"{model_uri} is an ensemble, which takes all cores for one request: it cannot be "
                "a shadow; give it a share of the traffic"
            )
        with self._files.writing(_LOCK_WAIT_S):
            self._files.start_if_empty()
            current = self.current()
            if there := identical(self._files, store.fingerprint, plan):
                if current:
                    write_config(self._files.root, current.number)  # a killed push may owe it
                return there
            contest = sorted([candidate_uri, *rivals])
            self._check_fits(store, current, contest, baseline_version)
            details = {"candidate_uri": candidate_uri, "baseline_version": baseline_version}
            if rivals:
                details["rivals"] = list(rivals)
            if approval:
                details["approval"] = dict(approval)
            pushed = self._add(store, details, current, plan)
            before = current.number if current else 0
            self._prune(keep, {before, *self._files.pointer().labelled})
            return pushed

    def rollback(self, to: int | None = None, why: str = "") -> Version:
        """Ends a split, or makes another version current: the given one, or the one before.

        Only the pointer moves. With `to` it also mends a broken or missing CURRENT.

        Args:
          to: The version; None with a split, whatever its state, leaves the champion alone.
          why: For the history.

        Raises:
          BeamfleetError: there is no such version, or none before the current one.
        """
        with self._files.writing(_LOCK_WAIT_S):
            pointer = self._files.pointer() if to is None else self._files.pointer_or_mended()
            number = to if to is not None else self._before(pointer)
            there = [n for n in self._files.numbers() if n <= pointer.highest]
            if number not in there:
                raise BeamfleetError(
                    f"{self.directory} has no version {number} to roll back to; choose one of: "
                    f"{words(there)}"
                )
            target = self._files.read(number)
            split = pointer.split
            if number != pointer.version or split:
                label = split.plan.challenger if split else ""
                before = split.challenger if split and to is None else pointer.version
                moved = Pointer(number, pointer.highest)
                self._files.move(moved, "rollback", before, number, label=label, why=why)
            write_config(self._files.root, number)
            return target

    def _before(self, pointer: Pointer) -> int:
        return pointer.version if pointer.split else self._previous(pointer)

    def _previous(self, pointer: Pointer) -> int:
        if not pointer.version:
            raise BeamfleetError(f"nothing was pushed to {self.directory} yet")
        # Not number - 1: that may be the bad version that somebody rolled back from.
        previous = int(self._files.read(pointer.version).details["previous_version"])
        if not previous:
            raise BeamfleetError(
                f"{self.directory}: version {pointer.version} was the first, there is none before "
                f"it; to go to a later one name it: {words(self._files.visible())}"
            )
        return previous

    def _check_fits(
        self,
        store: PushedStore,
        current: Version | None,
        contest: list[str],
        baseline_version: int,
    ) -> None:
        number = current.number if current else 0
        # The same candidates over the same version, judged in another way: nothing is undone.
        again = (
            current is not None
            and _contest(current) == contest
            and current.details["baseline_version"] == baseline_version
        )
        if number != baseline_version and not again:
            raise BeamfleetError(
                f"{store.uri} was composed over version {baseline_version}, but version {number} "
                f"is current in {self.directory} now, and pushing would undo it; run the "
                "evaluation again"
            )
        if current and current.details["schema_fingerprint"] != store.interface_fingerprint:
            raise BeamfleetError(
                f"{store.uri} does not fit version {number} in {self.directory}: other "
                f"{_changes(store, current)}. Callers of the pushed model would break: push to "
                "another directory"
            )

    def _add(
        self,
        store: PushedStore,
        origin: Mapping[str, Any],
        current: Version | None,
        plan: TrafficPlan | None,
    ) -> Version:
        before = current.number if current else 0
        number = next_number(self._files)
        details = {
            **origin,
            "number": number,
            "model_uri": store.uri,
            "previous_version": before,
        }
        version = add_version(self._files, details, partial(_copy, store))
        approval = origin.get("approval", {})
        told = {"approved_by": approval.get("by", ""), "why": approval.get("why", "")}
        if plan is None or not before:
            self._files.move(Pointer(number, number), "push", before, number, **told)
            return version
        pointer = Pointer(before, number, new_split(plan, before, number))
        self._files.move(pointer, "push", before, number, label=plan.challenger, **told)
        return replace(version, label=plan.challenger)

    def _prune(self, keep: int, spared: set[int]) -> None:
        for number in self._files.numbers()[:-keep]:
            if number not in spared:
                discard(self._files, number)


def _contest(version: Version) -> list[str]:
    """All candidates among which this version was chosen, sorted."""
    return sorted([version.details["candidate_uri"], *version.details.get("rivals", ())])


def _changes(store: PushedStore, current: Version) -> str:
    before = open_store(current.path)
    if store.kind != before.kind:
        return f"kind of model ({store.kind}, there {before.kind})"
    keys = store.interface.keys() | before.interface.keys()
    return ", ".join(sorted(k for k in keys if store.interface.get(k) != before.interface.get(k)))


def _copy(store: PushedStore, staged: Path) -> PushedStore:
    """Copies a store, and reads everything back: what is pushed is what was validated."""
    files.copy_folder(store.uri, staged, without=store.beside)
    copy = open_store(str(staged))
    if copy.fingerprint != store.fingerprint:
        raise BeamfleetError(f"{store.uri} changed while it was pushed; run the push again")
    copy.check()
    return copy
