"""The current model: the one in whose place a new one would come."""

from dataclasses import dataclass

from components.entity_models.open import Models, open_models
from components.entity_models.spec import ModelSpec
from components.errors import BeamfleetError
from components.saved_model.layout import find_saved_model

NOTHING = "nothing: no model is pushed or blessed yet"


@dataclass(frozen=True)
class CurrentModel:
    """Which model it is, and why that one."""

    role: str
    """`pushed`: the current version of the pushed directory. `blessed`: the latest blessed model,
    where nothing is pushed."""
    uri: str
    version: int = 0
    """Number of the pushed version."""


def opened(current: CurrentModel | None, spec: ModelSpec) -> tuple[Models | None, str]:
    """Opens it, and says in words what a model of this specification is compared with.

    Raises:
      BeamfleetError: it is gone, or what is pushed cannot be compared.
    """
    if current is None:
        return None, NOTHING
    if current.role == "pushed":
        models = open_models(current.uri)
        check_same(spec, models.spec, current.uri, "; push to a new directory")
        return models, f"the pushed version {current.version}"
    if find_saved_model(current.uri) is None:
        raise BeamfleetError(
            f"{current.uri}, the latest blessed model, is gone, and a new one has to be compared "
            "with it; restore the folder, or begin anew with another root"
        )
    models = open_models(current.uri)
    try:
        check_same(spec, models.spec, current.uri)
    except BeamfleetError as error:  # nobody is served by it
        return None, f"nothing: {error}"
    return models, f"the latest blessed model, {current.uri} (nothing is pushed)"


def check_same(ours: ModelSpec, theirs: ModelSpec, other: str, advice: str = "") -> None:
    """Refuses to compare models of another label, task or classes.

    Raises:
      BeamfleetError: says in what they differ.
    """
    for name in ("label", "task", "classes"):
        if getattr(ours, name) != getattr(theirs, name):
            raise BeamfleetError(
                f"the candidate cannot be compared with {other}: {name} was "
                f"{getattr(theirs, name)!r}, is {getattr(ours, name)!r}{advice}"
            )
