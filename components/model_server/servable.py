"""What the server can serve: entity models, or an ensemble."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from components.files import exists, open_file

if TYPE_CHECKING:
    from components.model_server.requests import Tensor


@dataclass(frozen=True)
class Limits:
    """What one request may cost, and which it is."""

    max_rows: int
    until: float
    """When its answer comes too late, by `time.monotonic`."""
    now: datetime | None = None
    """When the client says that it makes the request; None: it does not."""
    request_id: str = ""
    """By which the log of answers knows it; "" for what nobody is answered, as by a shadow."""
    version: str = ""
    """Of the model."""


class Servable(Protocol):
    """One version of a model, opened. What is read later may have been removed by then."""

    uri: str
    threads: int
    """How many requests it answers at a time."""
    max_body_bytes: int
    """A larger request body gets a 413, unless the server is set to another limit."""
    predicted: str
    """Name of the output whose values are the rows' predictions; "" if there is none."""

    warning: str
    """What its answers lacked when it was loaded; "" if nothing."""

    @property
    def has_entities(self) -> bool:
        """Whether each row belongs to an entity."""

    def keys(self, inputs: "Sequence[Tensor]", max_rows: int) -> list[str | None]:
        """The entity of each row of a request; None where it is missing.

        Raises:
          RequestError: the request does not fit the models.
        """

    @property
    def fingerprint(self) -> str:
        """SHA-256 that another content would change."""

    def import_frameworks(self) -> None:
        """Imports what the models need, so that the first request need not."""

    def load(self) -> None:
        """Loads what requests need.

        Raises:
          BeamfleetError: it cannot be loaded.
        """

    def check(self, damaged: str) -> None:
        """Reads all that is stored and compares it with its checksums.

        Args:
          damaged: the entity whose model could not be read before, "" for none or the fallback; it
            is decoded as well.

        Raises:
          BeamfleetError: naming the first that is missing or changed.
        """

    def log_answers(self) -> None:
        """Has what is answered from now on appended to the log of the model's feature service."""

    def input_tensors(self) -> list[dict[str, Any]]:
        """Name, datatype and shape of what a request needs; -1 is the number of rows."""

    def output_tensors(self) -> list[dict[str, Any]]:
        """Name, datatype and shape of what a response holds."""

    def answer(
        self, inputs: "Sequence[Tensor]", outputs: Sequence[str], limits: Limits
    ) -> list[dict[str, Any]]:
        """Predicts the rows of one request.

        Args:
          inputs: tensors as the client sent them.
          outputs: names of the output tensors that are wanted.
          limits: of this request.

        Raises:
          RequestError: the request does not fit the models, or a row cannot be predicted.
          UnreadableModelError: a stored model was removed or damaged.
        """


class Opener(Protocol):
    """Makes a servable of what lies at a URI."""

    def __call__(self, uri: str, cache_bytes: int) -> Servable:
        """Opens it.

        Raises:
          BeamfleetError: it is not whole.
        """


def is_ensemble(uri: str) -> bool:
    """Whether an ensemble lies there, not a store of entity models; on any Beam filesystem."""
    return exists(f"{uri}/ensemble.json")


def has_feature_service(uri: str) -> bool:
    """Whether entity models lie there that were trained with a feature service."""
    try:
        with open_file(f"{uri}/manifest.json") as file:
            return bool(json.loads(file.read())["spec"].get("service"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False  # whoever opens it says what is wrong


def opener(uri: str) -> Opener:
    """What opens the model there. Imports its code, which takes a second."""
    if is_ensemble(uri):
        # Imported here: it needs Pillow, which is not there where only entity models are served.
        from components.model_server.ensembles import ServableEnsemble

        return ServableEnsemble
    if has_feature_service(uri):
        # Imported here: polars and the user's declarations.
        from components.model_server.featured import ServableWithFeatures

        return ServableWithFeatures
    from components.model_server.entities import ServableEntityModels

    return ServableEntityModels
