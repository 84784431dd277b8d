"""Fetches weights from the Hugging Face hub, or finds them in its local cache."""

import logging
import re
from pathlib import Path

from components.errors import BeamfleetError

LOG = logging.getLogger(__name__)

_COMMIT = re.compile(r"[0-9a-f]{40}")
_FILES = ["*.safetensors", "*.json", "*.txt"]
_TIMEOUT_S = 10.0


def commit_of(name: str, revision: str) -> str:
    """The commit that a revision of a model is now; "" is the default branch.

    Raises:
      BeamfleetError: neither the hub nor the local cache knows it.
    """
    if _COMMIT.fullmatch(revision):
        return revision
    try:
        return _ask(name, revision)
    except Exception as error:  # no network, no such model, no access, a proxy's answer ...
        return _cached(name, revision, error).name


def snapshot(name: str, commit: str) -> Path:
    """Local folder of a model's safetensors and settings, fetched where they are not there yet.

    Raises:
      BeamfleetError: neither the hub nor the local cache has them.
    """
    try:
        _ask(name, commit)  # fails at once without a network, where a download tries for long
    except Exception as error:
        return _cached(name, commit, error)
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, revision=commit, allow_patterns=_FILES))
    except Exception as error:  # what it has left in the cache may be a part of the files
        raise _not_there(name, commit, error) from error


def _ask(name: str, revision: str) -> str:
    from huggingface_hub import HfApi

    return str(HfApi().model_info(name, revision=revision or None, timeout=_TIMEOUT_S).sha)


def _cached(name: str, revision: str, problem: Exception) -> Path:
    try:
        from huggingface_hub import snapshot_download

        folder = snapshot_download(
            name, revision=revision or None, allow_patterns=_FILES, local_files_only=True
        )
    except Exception:
        raise _not_there(name, revision, problem) from problem
    LOG.warning("%s: the hub cannot be asked (%s), its cache is used", name, _line(problem))
    return Path(folder)


def _not_there(name: str, revision: str, problem: Exception) -> BeamfleetError:
    if isinstance(problem, ImportError):
        return BeamfleetError(
            f"{name} is no folder here, and for the Hugging Face hub the extra is missing: "
            "pip install 'beamfleet[captions]', or give a folder with safetensors"
        )
    option = f" --revision {revision}" if revision else ""
    return BeamfleetError(
        f"{name} is no folder here, is not in the cache of the Hugging Face hub, and cannot be "
        f"fetched ({_line(problem)}); without a network give a folder: where there is one, run `hf "
        f"download {name}{option} --local-dir FOLDER`, then copy FOLDER here"
    )


def _line(error: Exception) -> str:
    """The first line of an error; those of the hub are long."""
    return f"{type(error).__name__}: {error}".splitlines()[0].rstrip(".")
