"""What lies in a pushed directory, and the pointer to the current version."""

import getpass
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.errors import BeamfleetError
from components.files import is_remote
from components.pusher import files
from components.pusher.tensorflow_serving import write_config
from components.pusher.traffic import CHAMPION, Split, split_from


@dataclass(frozen=True)
class Version:
    """One pushed version; `path` is a store of entity models, or an ensemble."""

    number: int
    """1 or more."""
    path: str
    """Folder of the store."""
    details: Mapping[str, Any] = field(hash=False)
    """version.json: number, created (ISO, UTC), schema_fingerprint, store_fingerprint, model_uri,
    candidate_uri, baseline_version, previous_version (0: none), counts; approval, if a person had
    to approve it; rivals, the candidates that it was chosen from, if there were others."""
    new: bool = False
    """True only where the call that returned it made it: not for an identical push."""
    label: str = CHAMPION
    """What a push made of it: the champion, or a challenger under its label."""


@dataclass(frozen=True)
class Pointer:
    """The content of CURRENT."""

    version: int
    """The current version; 0 if nothing was pushed yet."""
    highest: int
    """The last number given out; a folder with a higher one is left from a killed push."""
    split: Split | None = None
    """Who else gets requests."""
    change: Mapping[str, Any] = field(default_factory=dict, hash=False, compare=False)
    """The line of history.jsonl that belongs to it."""

    @property
    def labelled(self) -> set[int]:
        """Versions that requests may go to; 0 among them if there is none."""
        return {self.version, *(dict(self.split.versions).values() if self.split else ())}

    def to_dict(self) -> dict[str, Any]:
        """As it stands in CURRENT."""
        content: dict[str, Any] = {"version": self.version, "highest": self.highest}
        if self.change:
            content["change"] = dict(self.change)
        return {**content, "traffic": self.split.to_dict()} if self.split else content


@dataclass(frozen=True)
class PushedDirectory:
    """The folders and the pointer; reads from any Beam filesystem, writes locally."""

    uri: str

    @property
    def root(self) -> Path:
        return Path(self.uri)

    def numbers(self) -> list[int]:
        """Numbers of all version folders, ascending, those of a killed push included."""
        names = files.folder_names(self.uri)
        return sorted(int(n) for n in names if n.isascii() and n.isdecimal() and n[0] != "0")

    def visible(self) -> list[int]:
        """Numbers of the pushed versions, ascending."""
        highest = self.pointer().highest
        return [n for n in self.numbers() if n <= highest]

    def read(self, number: int) -> Version:
        """The version in folder `number`.

        Raises:
          BeamfleetError: the folder is missing, foreign, broken or was renamed.
        """
        path = f"{self.uri}/{number}"
        try:
            details = json.loads(files.read_text(f"{path}/version.json"))
            found = details["number"]
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            there = words([n for n in self.numbers() if n != number])
            raise BeamfleetError(
                f"{path} is missing or not a pushed version (no whole version.json); put it back, "
                f"or move it out of the way and roll back to one of: {there}"
            ) from None
        if found != number:
            raise BeamfleetError(
                f"{path} says that it is version {found}: it was renamed; move it back, or out of "
                "the pushed directory"
            )
        return Version(number, path, details)

    def pointer(self) -> Pointer:
        """Reads CURRENT.

        Raises:
          BeamfleetError: it is broken, or missing although there are versions.
        """
        path = f"{self.uri}/CURRENT"
        try:
            content = json.loads(files.read_text(path))
            version, highest = int(content["version"]), int(content["highest"])
            if 0 <= version <= highest:
                return Pointer(version, highest, *_more(content, version, highest))
            problem = "is broken: its version is not between 0 and its highest"
        except BeamfleetError as error:
            problem = f"is broken: {error}"
        except FileNotFoundError:
            if not self.numbers():
                return Pointer(0, 0)
            problem = "is missing"
        except OSError as error:  # a file in the folder's place, no permission ...
            raise BeamfleetError(f"{self.uri} cannot be a pushed directory: {error}") from None
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            problem = "is broken"
        raise BeamfleetError(f"{path} {problem}; roll back to one of: {words(self.numbers())}")

    def pointer_or_mended(self) -> Pointer:
        """Reads CURRENT; a broken or missing one is taken as pointing nowhere."""
        try:
            return self.pointer()
        except BeamfleetError:
            return Pointer(0, max(self.numbers(), default=0))

    def move(self, pointer: Pointer, action: str, before: int, after: int, **more: str) -> None:
        """Moves the pointer, by one rename, and writes down who did what, when and why.

        What happened stands in the pointer itself, too: a process that is killed before it has
        written the history leaves that to the next one.

        Args:
          pointer: What is true from now on.
          action: push, promote, rollback, stop or split (its terms).
          before, after: The versions that it goes from and to.
          more: label, approved_by, why: those that are known.
        """
        self._finish_history()
        told = {name: text for name, text in more.items() if text}
        moved = {"time": now(), "action": action, "from": before, "to": after, "by": user()}
        change = {**moved, **told}
        self.point(replace(pointer, change=change))
        write_config(self.root, pointer.version)
        files.append_line(self.root / "history.jsonl", _line(change))

    def point(self, pointer: Pointer) -> None:
        """Replaces CURRENT: what makes a push, a promotion or a rollback happen."""
        files.write_json(self.root / "CURRENT", pointer.to_dict())

    def _finish_history(self) -> None:
        path = self.root / "history.jsonl"
        change = self.pointer_or_mended().change
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        line = _line(change)
        if change and line not in lines[-1:]:
            files.append_line(path, line)

    @contextmanager
    def writing(self, wait_s: float) -> Iterator[None]:
        """Holds the directory: one change after the other. Makes it if need be.

        Raises:
          BeamfleetError: it is remote, cannot be made, or is held for longer than that.
        """
        if is_remote(self.uri):
            raise BeamfleetError(
                f"{self.uri} is not a local folder: pushing and rolling back need one (or a "
                "mounted volume), because object stores cannot rename; reading works from anywhere"
            )
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BeamfleetError(f"{self.uri} cannot be a pushed directory: {error}") from None
        with files.exclusive(self.root / ".lock", wait_s):
            yield

    def start_if_empty(self) -> None:
        """Writes CURRENT before the first version, so that a missing one means damage.

        Raises:
          BeamfleetError: the folder holds other things.
        """
        if (self.root / "CURRENT").exists():
            return
        strangers = sorted(p.name for p in self.root.iterdir() if not p.name.startswith("."))
        if strangers:
            self.pointer()  # says it better where there are versions
            raise BeamfleetError(
                f"{self.uri} is not a pushed directory: it holds {', '.join(strangers[:5])} and no "
                "CURRENT; push to a new or empty folder"
            )
        self.point(Pointer(0, 0))


def _more(content: dict[str, Any], version: int, highest: int) -> tuple[Split | None, Any]:
    """The split and the last change that CURRENT names."""
    traffic, change = content.get("traffic"), content.get("change")
    split = split_from(traffic, version, highest) if traffic is not None else None
    return split, change if isinstance(change, dict) else {}


def _line(change: Mapping[str, Any]) -> str:
    return json.dumps(dict(change), sort_keys=True)


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def user() -> str:
    """The name of the operating system's user."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number that has no name
        return str(os.getuid())


def words(numbers: Sequence[int]) -> str:
    """Version numbers for an error message."""
    return ", ".join(map(str, numbers)) or "(there is none)"
