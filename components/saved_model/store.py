"""Opens a SavedModel as the one model of all rows."""

import hashlib
import json
import threading
from collections.abc import Mapping
from typing import Any

from components.entity_models.spec import ModelSpec
from components.entity_models.store import UnreadableModelError
from components.errors import BeamfleetError
from components.files import open_file
from components.saved_model.layout import DESCRIPTION, FORMAT, VERSION, saved_model_at
from components.saved_model.write import digest


class SavedModel:
    """Reads as a store of entity models does, with one model for every row.

    Raises:
      BeamfleetError: it was not described, or its description is broken.
    """

    frameworks = frozenset({"tensorflow"})

    def __init__(self, uri: str) -> None:
        """Opens the SavedModel at `uri`, or in its `Format-Serving`; loads nothing yet."""
        self.uri = saved_model_at(uri)
        self._description = _read_description(self.uri)
        self.spec = ModelSpec.from_dict(self._description["spec"])
        self.counts: Mapping[str, int] = {}
        text = json.dumps(self._description, sort_keys=True)
        self.fingerprint = hashlib.sha256(text.encode()).hexdigest()
        """SHA-256 over the description, and by it over every file."""
        self._model: Any = None
        self._lock = threading.Lock()

    def own(self, entity: str) -> Any:
        """The model, whatever the entity. The first call checks and loads it.

        Raises:
          UnreadableModelError: a file is missing or was changed, or the graph reaches out.
        """
        with self._lock:
            if self._model is None:
                self._model = self._load()
        return self._model

    def fallback(self) -> Any:
        """The model."""
        return self.own("")

    def check(self) -> None:
        """Reads every file and compares it with the description; nothing is loaded.

        Raises:
          BeamfleetError: naming the first that is missing or was changed.
        """
        for name, known in self._description["files"].items():
            try:
                found = digest(f"{self.uri}/{name}")
            except OSError:
                raise BeamfleetError(
                    f"{self.uri}/{name} is missing or cannot be read; restore the artifact"
                ) from None
            if found != known:
                raise BeamfleetError(
                    f"{self.uri}/{name}: SHA-256 differs from {DESCRIPTION}; restore the artifact"
                )

    def _load(self) -> Any:
        # Imported here: TensorFlow takes seconds, and most readers want the description alone.
        from components.saved_model.model import LoadedModel
        from components.saved_model.program import check_program

        try:
            self.check()
            check_program(self.uri)
            return LoadedModel(self.uri, self.spec, self._description["output"])
        except BeamfleetError as error:
            raise UnreadableModelError("", str(error)) from error


def _read_description(folder: str) -> dict[str, Any]:
    path = f"{folder}/{DESCRIPTION}"
    try:
        with open_file(path) as file:
            description = json.loads(file.read())
    except OSError:
        raise BeamfleetError(
            f"{folder} has no {DESCRIPTION}: it was not made by this Trainer, or its training was "
            "stopped before it was whole; train again"
        ) from None
    except (ValueError, RecursionError) as error:
        raise BeamfleetError(f"{path} is not JSON: {error}") from error
    shape = {"spec": dict, "files": dict, "output": str}
    if (
        not isinstance(description, dict)
        or (description.get("format"), description.get("version")) != (FORMAT, VERSION)
        or not all(isinstance(description.get(name), kind) for name, kind in shape.items())
    ):
        raise BeamfleetError(f"{path}: expected format {FORMAT!r}, version {VERSION}")
    return description
