"""Keeps local copies of remote ensembles, by what is in them."""

import os
import shutil
import uuid
from pathlib import Path

from components.ensemble.bundle_files import check_hash, copy_file
from components.ensemble.declaration import ENSEMBLE, Declaration
from components.errors import BeamfleetError
from components.files import is_remote, write_json


def local_copy(uri: str, declaration: Declaration) -> str:
    """A local folder with the same ensemble: `uri` itself, or a copy in the user's cache folder.

    The copy is whole or absent, and is used again by whoever needs the same ensemble.

    Raises:
      BeamfleetError: it cannot be copied, or a file was changed.
    """
    if not is_remote(uri):
        return uri
    folder = _cache_folder() / declaration.fingerprint
    if not folder.exists():
        _copy(uri, declaration, folder)
    return str(folder)


def _copy(uri: str, declaration: Declaration, folder: Path) -> None:
    staged = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    try:
        for name, sha256 in declaration.files.items():
            found = copy_file(f"{uri}/{name}", f"{staged}/{name}")
            check_hash(f"{uri}/{name}", found, sha256)
        write_json(f"{staged}/{ENSEMBLE}", declaration.to_dict())
        staged.rename(folder)
    except OSError as error:
        if not folder.exists():  # another process may have been faster
            raise BeamfleetError(f"{uri} cannot be copied to {folder}: {error}") from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "beamfleet/ensembles")
