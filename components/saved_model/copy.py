"""Copies a SavedModel, byte for byte."""

import shutil

from components.errors import BeamfleetError
from components.files import create_file, make_folder, open_file
from components.saved_model.layout import DESCRIPTION, saved_model_at
from components.saved_model.store import SavedModel
from components.saved_model.write import files_of

_CHUNK_BYTES = 1 << 20


def copy_saved_model(uri: str, target: str) -> None:
    """Copies the SavedModel at `uri` to the new folder `target`, its description last.

    Raises:
      BeamfleetError: a file is missing, was changed, or changed while it was copied.
    """
    source = saved_model_at(uri)
    for name in [*files_of(source), DESCRIPTION]:
        make_folder(f"{target}/{name}".rpartition("/")[0])
        with open_file(f"{source}/{name}") as file, create_file(f"{target}/{name}") as copy:
            shutil.copyfileobj(file, copy, _CHUNK_BYTES)
    SavedModel(target).check()
    if SavedModel(target).fingerprint != SavedModel(source).fingerprint:
        raise BeamfleetError(f"{source} changed while it was copied; run the evaluation again")
