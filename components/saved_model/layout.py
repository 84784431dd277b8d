"""How a SavedModel lies on disk.

    <uri>/saved_model.pb, variables/, assets/   TensorFlow's own
    <uri>/beamfleet.json                        what it takes and gives, and a SHA-256 of each file;
                                                written last

In TFX's Model artifacts it is in the folder `Format-Serving`; a pushed version is the SavedModel
itself, so that TensorFlow Serving takes the pushed directory for its `base_path`.
"""

from components.errors import BeamfleetError
from components.files import exists

PROGRAM, DESCRIPTION, FORMAT_SERVING = "saved_model.pb", "beamfleet.json", "Format-Serving"
FORMAT, VERSION = "beamfleet saved model", 1
SIGNATURE = "serving_default"
STARTED = "started.json"
"""In the ModelRun: from which model the training took its weights."""


def find_saved_model(uri: str) -> str | None:
    """The folder of the SavedModel at `uri` or in its `Format-Serving`; None: there is none."""
    for folder in (uri.rstrip("/"), f"{uri.rstrip('/')}/{FORMAT_SERVING}"):
        if exists(f"{folder}/{PROGRAM}"):
            return folder
    return None


def saved_model_at(uri: str) -> str:
    """The folder of the SavedModel at `uri`.

    Raises:
      BeamfleetError: there is none.
    """
    folder = find_saved_model(uri)
    if folder is None:
        raise BeamfleetError(
            f"{uri} holds no SavedModel (no {PROGRAM}, nor {FORMAT_SERVING}/{PROGRAM}): the "
            "run_fn has to save one in fn_args.serving_model_dir"
        )
    return folder
