"""What the features are made of, and which store they are in."""

from pathlib import Path

from components.feature_computer.declared import (
    data_fingerprint,
    declared,
    definition_fingerprint,
    sources_of,
    store_id,
)
from components.outside import Inputs, Parameters, State


def state(parameters: Parameters, inputs: Inputs) -> State:
    """The definitions, the files of the sources, and which store it is.

    Raises:
      BeamfleetError: a definition or a file cannot be found.
    """
    features, store = declared(parameters["features"]), Path(parameters["store"])
    return {
        "definition_fingerprint": definition_fingerprint(features),
        "data_fingerprint": data_fingerprint(sources_of(features)),
        "store_id": store_id(store),
    }
