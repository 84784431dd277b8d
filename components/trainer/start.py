"""The model that a training starts from."""

from components.errors import BeamfleetError
from components.files import exists, open_file
from components.saved_model.layout import STARTED, saved_model_at
from components.saved_model.store import SavedModel
from components.saved_model.write import files_of

_ASSETS = "assets/"


def check_start(uri: str) -> None:
    """The model is there, and as it was when it was made.

    Raises:
      BeamfleetError: it is not; says what to do.
    """
    try:
        SavedModel(uri).check()
    except BeamfleetError as error:
        raise BeamfleetError(
            f"the model to start from cannot be used: {error}. Or train without warm_start=True "
            "from scratch"
        ) from error


def notes_on_start(start: str, folder: str, model_run: str) -> list[str]:
    """What a reader has to know of a training that was given a model to start from, in words."""
    if not exists(f"{model_run}/{STARTED}"):
        return ["the run_fn did not take its weights with data.warm_start(model)"]
    return changed_vocabularies(start, folder)


def changed_vocabularies(start: str, folder: str) -> list[str]:
    """What the preprocessing counts in another way than when the first model was trained, in words.

    Weights stand for positions: where a word has another number now, they stood for another word.

    Args:
      start: The model that the training started from.
      folder: The SavedModel that it made.
    """
    before = saved_model_at(start)
    notes = []
    for name in files_of(folder):
        if not name.startswith(_ASSETS) or not exists(f"{before}/{name}"):
            continue
        old, new = _lines(f"{before}/{name}"), _lines(f"{folder}/{name}")
        moved = sum(1 for number, word in enumerate(old) if new[number : number + 1] != [word])
        if moved:
            notes.append(
                f"vocabulary {name.removeprefix(_ASSETS)!r}: {moved} of {len(old)} words have "
                "another number than in the model that the training started from"
            )
    return notes


def _lines(path: str) -> list[bytes]:
    with open_file(path) as file:
        return file.read().splitlines()
