"""Numbered versions of the entity models in a pushed directory.

    <directory>/1/ 2/ ...      a whole entity-models store and its version.json
    <directory>/CURRENT        {"version": 2, "highest": 3}, renamed into place last
    <directory>/history.jsonl  one line a push or rollback: time, action, from, to, by

A version is there for readers once CURRENT knows its number: `highest` says up to which. What a
killed push left is hidden, and the next push removes it. Numbers are never used twice.
"""

import getpass
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import BeamfleetError
from components.pusher import files

if TYPE_CHECKING:
    from components.entity_models.store import EntityModels

_LOCK_WAIT_S = 600.0


@dataclass(frozen=True)
class Version:
    """One pushed version; `path` opens as an entity-models store."""

    number: int
    """1 or more."""
    path: str
    """Folder of the store."""
    details: Mapping[str, Any] = field(hash=False)
    """version.json: number, created (ISO, UTC), schema_fingerprint, store_fingerprint, model_uri,
    candidate_uri, baseline_version, previous_version (0: none), counts."""
    new: bool = False
    """True only where the call that returned it made it: not for an identical push."""


@dataclass(frozen=True)
class _Pointer:
    version: int
    highest: int


class PushedVersions:
    """The versions in one directory. Reading takes any Beam filesystem, writing a local one."""

    def __init__(self, directory: str) -> None:
        self.directory = directory.rstrip("/") or "/"

    def current(self) -> Version | None:
        """The version that is served, or None where nothing was pushed yet.

        Raises:
          BeamfleetError: CURRENT is broken or missing, or the version's folder is missing.
        """
        number = self._pointer().version
        return self._read(number) if number else None

    def versions(self) -> list[Version]:
        """All pushed versions, oldest first."""
        highest = self._pointer().highest
        return [self._read(n) for n in self._numbers() if n <= highest]

    def version(self, number: int) -> Version:
        """The version of that number.

        Raises:
          BeamfleetError: there is none.
        """
        if number not in self._visible():
            raise BeamfleetError(
                f"{self.directory} has no version {number}; there is {_words(self._visible())}"
            )
        return self._read(number)

    def baseline_for(self, candidate_uri: str) -> int:
        """The version that an evaluation of this candidate is compared with; 0 is none.

        If the current version was pushed from this very candidate, it is the baseline of that
        time, so that evaluating and pushing the same candidate again is served from the cache.
        """
        current = self.current()
        if current is None:
            return 0
        if current.details["candidate_uri"] == candidate_uri:
            return int(current.details["baseline_version"])
        return current.number

    def push(self, model_uri: str, candidate_uri: str, baseline_version: int, keep: int) -> Version:
        """Copies a composed store into a new version and makes it the current one.

        A store that is identical to the current one makes no new version: the current one is
        returned, with `new` False.

        Args:
          model_uri: The composed store, on any Beam filesystem.
          candidate_uri: The trainer's model that it was composed from.
          baseline_version: The version that it was composed over and compared with; 0 is none.
          keep: How many of the newest versions stay, 1 or more; the current version and the one
            before it stay in any case.
        Raises:
          BeamfleetError: remote or foreign directory, broken store, other columns or classes than
            the current version's, or another version became current since the evaluation.
        """
        if keep < 1:
            raise BeamfleetError(f"keep at least 1 version, not {keep}")
        from components.entity_models.store import EntityModels

        models = EntityModels(model_uri)
        with self._writing():
            self._start_if_empty()
            current = self.current()
            if current and current.details["store_fingerprint"] == models.fingerprint:
                return current
            self._check_fits(models, current, baseline_version)
            pushed = self._add(models, candidate_uri, baseline_version, current)
            self._prune(keep, {pushed.number, current.number if current else 0})
            return pushed

    def rollback(self, to: int | None = None) -> Version:
        """Makes another version current: the given one, or the one before the current one.

        Only the pointer moves. With `to` it also mends a broken or missing CURRENT.

        Raises:
          BeamfleetError: there is no such version, or none before the current one.
        """
        with self._writing():
            pointer = self._pointer() if to is None else self._pointer_or_mended()
            target = self._target(pointer, to)
            if target.number != pointer.version:
                self._point(_Pointer(target.number, pointer.highest))
                self._log("rollback", pointer.version, target.number)
            return target

    def _target(self, pointer: _Pointer, to: int | None) -> Version:
        there = [n for n in self._numbers() if n <= pointer.highest]
        if to is None:
            if not pointer.version:
                raise BeamfleetError(f"nothing was pushed to {self.directory} yet")
            to = int(self._read(pointer.version).details["previous_version"])
            if not to:
                raise BeamfleetError(
                    f"{self.directory}: version {pointer.version} is the first, there is none "
                    f"before it; name one: there is {_words(there)}"
                )
        if to not in there:
            raise BeamfleetError(
                f"{self.directory} has no version {to} to roll back to; there is {_words(there)}"
            )
        return self._read(to)

    def _check_fits(
        self, models: "EntityModels", current: Version | None, baseline_version: int
    ) -> None:
        number = current.number if current else 0
        if number != baseline_version:
            raise BeamfleetError(
                f"{models.uri} was composed over version {baseline_version}, but version {number} "
                f"is current in {self.directory} now, and pushing would undo it; run the "
                "evaluation again"
            )
        if current and current.details["schema_fingerprint"] != models.spec.fingerprint():
            from components.entity_models.store import EntityModels

            ours = models.spec.to_dict()
            theirs = EntityModels(current.path).spec.to_dict()
            changed = ", ".join(sorted(k for k in ours if ours[k] != theirs.get(k)))
            raise BeamfleetError(
                f"{models.uri} does not fit version {number} in {self.directory}: {changed} "
                "changed. Callers of the pushed model would break: push to another directory"
            )

    def _add(
        self,
        models: "EntityModels",
        candidate_uri: str,
        baseline_version: int,
        current: Version | None,
    ) -> Version:
        number = max([self._pointer().highest, *self._numbers()]) + 1
        self._remove_leftovers()
        staged = self._hidden()
        files.copy_folder(models.uri, staged)
        _check_copy(staged, models)
        details = {
            "number": number,
            "created": _now(),
            "schema_fingerprint": models.spec.fingerprint(),
            "store_fingerprint": models.fingerprint,
            "model_uri": models.uri,
            "candidate_uri": candidate_uri,
            "baseline_version": baseline_version,
            "previous_version": current.number if current else 0,
            "counts": dict(models.counts),
        }
        files.write_json(staged / "version.json", details)
        staged.rename(self._root / str(number))
        files.sync_folder(self._root)
        self._point(_Pointer(number, number))
        self._log("push", current.number if current else 0, number)
        return Version(number, str(self._root / str(number)), details, new=True)

    def _prune(self, keep: int, spared: set[int]) -> None:
        for number in self._numbers()[:-keep]:
            if number not in spared:
                self._discard(self._root / str(number))

    def _remove_leftovers(self) -> None:
        """Removes what killed pushes left; under the lock nobody else is staging."""
        highest = self._pointer().highest
        for number in self._numbers():
            if number > highest:  # renamed, but the pointer was not moved any more
                self._discard(self._root / str(number))
        for folder in self._root.glob(".staged-*"):
            shutil.rmtree(folder)

    def _discard(self, folder: Path) -> None:
        hidden = self._hidden()
        folder.rename(hidden)  # at once, so that nobody sees half of it
        shutil.rmtree(hidden)

    def _hidden(self) -> Path:
        return self._root / f".staged-{uuid.uuid4().hex}"

    @property
    def _root(self) -> Path:
        return Path(self.directory)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        if files.is_remote(self.directory):
            raise BeamfleetError(
                f"{self.directory} is not a local folder: pushing and rolling back need one (or a "
                "mounted volume), because object stores cannot rename; reading works from anywhere"
            )
        try:
            self._root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BeamfleetError(
                f"{self.directory} cannot be a pushed directory: {error}"
            ) from None
        with files.exclusive(self._root / ".lock", _LOCK_WAIT_S):
            yield

    def _start_if_empty(self) -> None:
        """Writes the pointer before the first version, so that a missing one means damage."""
        if (self._root / "CURRENT").exists():
            return
        strangers = sorted(p.name for p in self._root.iterdir() if not p.name.startswith("."))
        if strangers:
            self._pointer()  # says it better where there are versions
            raise BeamfleetError(
                f"{self.directory} is not a pushed directory: it holds {', '.join(strangers[:5])} "
                "and no CURRENT; push to a new or empty folder"
            )
        self._point(_Pointer(0, 0))

    def _point(self, pointer: _Pointer) -> None:
        content = {"version": pointer.version, "highest": pointer.highest}
        files.write_json(self._root / "CURRENT", content)

    def _pointer(self) -> _Pointer:
        path = f"{self.directory}/CURRENT"
        numbers = self._numbers()
        try:
            content = json.loads(files.read_text(path))
            version = int(content["version"])
            return _Pointer(version, int(content.get("highest", max([version, *numbers]))))
        except FileNotFoundError:
            if not numbers:
                return _Pointer(0, 0)
            problem = "is missing"
        except (ValueError, TypeError, KeyError, AttributeError):
            problem = 'is broken, expected {"version": N}'
        raise BeamfleetError(f"{path} {problem}; roll back to one of: {_words(numbers)}")

    def _pointer_or_mended(self) -> _Pointer:
        try:
            return self._pointer()
        except BeamfleetError:
            return _Pointer(0, max(self._numbers(), default=0))

    def _visible(self) -> list[int]:
        highest = self._pointer().highest
        return [n for n in self._numbers() if n <= highest]

    def _numbers(self) -> list[int]:
        names = files.folder_names(self.directory)
        return sorted(int(n) for n in names if n.isdecimal() and str(int(n)) == n and n != "0")

    def _read(self, number: int) -> Version:
        path = f"{self.directory}/{number}"
        try:
            details = json.loads(files.read_text(f"{path}/version.json"))
            if details["number"] != number:
                raise BeamfleetError(
                    f"{path} says that it is version {details['number']}: it was renamed; move it "
                    "back or out of the pushed directory"
                )
        except (FileNotFoundError, NotADirectoryError, ValueError, TypeError, KeyError):
            there = [n for n in self._numbers() if n != number]
            raise BeamfleetError(
                f"{path} is missing or not a pushed version (no whole version.json); put it back, "
                f"or move it out of the way and roll back to one of: {_words(there)}"
            ) from None
        return Version(number, path, details)

    def _log(self, action: str, before: int, after: int) -> None:
        record = {"time": _now(), "action": action, "from": before, "to": after, "by": _user()}
        files.append_line(self._root / "history.jsonl", json.dumps(record))


def _check_copy(staged: Path, models: "EntityModels") -> None:
    """Reads the copy back, every payload: what is pushed is what was validated."""
    from components.entity_models.store import EntityModels

    if EntityModels(str(staged)).fingerprint != models.fingerprint:
        raise BeamfleetError(f"{models.uri} changed while it was pushed; run the push again")


def _words(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers)) or "none"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number without a name
        return str(os.getuid())
