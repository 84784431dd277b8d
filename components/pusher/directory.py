"""What lies in a pushed directory, and the pointer to the current version."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.errors import BeamfleetError
from components.pusher import files


@dataclass(frozen=True)
class Version:
    """One pushed version; `path` is a store of entity models, or an ensemble."""

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
class Pointer:
    """The content of CURRENT."""

    version: int
    """The current version; 0 if nothing was pushed yet."""
    highest: int
    """The last number given out; a folder with a higher one is left from a killed push."""


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
                return Pointer(version, highest)
            problem = "is broken: its version is not between 0 and its highest"
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

    def point(self, pointer: Pointer) -> None:
        """Moves the pointer: what makes a push or rollback happen."""
        content = {"version": pointer.version, "highest": pointer.highest}
        files.write_json(self.root / "CURRENT", content)

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


def words(numbers: Sequence[int]) -> str:
    """Version numbers for an error message."""
    return ", ".join(map(str, numbers)) or "(there is none)"
