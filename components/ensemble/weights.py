"""Where the weights of a model come from: a folder, or the Hugging Face hub."""

import hashlib
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from components.ensemble import hub
from components.ensemble.bundle_files import hash_file
from components.ensemble.weight_files import weight_files
from components.errors import BeamfleetError

LOG = logging.getLogger(__name__)

_HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")


@dataclass(frozen=True)
class Weights:
    """A model's files on this machine."""

    folder: Path
    files: tuple[str, ...]
    """Relative to the folder, sorted."""
    revision: str
    """Commit on the hub; "" for a folder."""


@dataclass(frozen=True)
class ModelSource:
    """What a user gives for a model.

    Example:
        ModelSource.parse("models/blip")
        ModelSource.parse("Salesforce/blip-image-captioning-base@<commit>")
    """

    source: str
    """A local folder, or a model on the Hugging Face hub, as `organisation/name`."""
    revision: str = ""
    """Commit, branch or tag on the hub, "" for the default branch; not for a folder."""
    sha256: str = ""
    """See `hash_of_files`: what the files of a folder must be; "" takes them as they are."""

    @staticmethod
    def parse(text: str) -> "ModelSource":
        """Reads a folder, `organisation/name` or `organisation/name@revision`.

        Raises:
          BeamfleetError: it is none of them.
        """
        if text and Path(text).expanduser().is_dir():
            return ModelSource(str(Path(text).expanduser()))
        name, at, revision = text.partition("@")
        if not _HUB_NAME.fullmatch(name) or bool(at) != bool(revision):
            raise BeamfleetError(
                f"there is no folder {text!r}; expected a local folder with safetensors, or a name "
                "on the Hugging Face hub as organisation/name@commit"
            )
        return ModelSource(name, revision)

    def pinned(self) -> "ModelSource":
        """The source with its content named: the commit on the hub, the hash of a folder's files.

        Raises:
          BeamfleetError: the model cannot be found, or see `weight_files`.
        """
        if not self._is_folder():
            return replace(self, revision=self._commit())
        weights = self.fetched()
        files = {name: hash_file(str(weights.folder / name)) for name in weights.files}
        return replace(self, sha256=hash_of_files(files))

    def fetched(self) -> Weights:
        """Finds the files, and fetches them if need be.

        Raises:
          BeamfleetError: as of `pinned`.
        """
        revision = "" if self._is_folder() else self._commit()
        folder = hub.snapshot(self.source, revision) if revision else Path(self.source)
        return Weights(folder, weight_files(folder), revision)

    def _is_folder(self) -> bool:
        if Path(self.source).is_dir() and not self.revision:
            return True
        if not _HUB_NAME.fullmatch(self.source):
            raise BeamfleetError(f"there is no folder {self.source!r} with the weights of a model")
        return False

    def _commit(self) -> str:
        commit = hub.commit_of(self.source, self.revision)
        if commit != self.revision:
            LOG.warning(
                "%s is taken at commit %s; pin it: %s@%s", self.source, commit, self.source, commit
            )
        return commit


def hash_of_files(files: Mapping[str, str]) -> str:
    """SHA-256 over names and SHA-256 of files: what a model is, wherever it came from."""
    lines = "".join(f"{files[name]}  {name}\n" for name in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()
