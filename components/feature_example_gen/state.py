"""What the rows are made of."""

from components.feature_computer.declared import (
    data_fingerprint,
    definition_fingerprint,
    sources_of,
)
from components.feature_example_gen.config import FeatureExamplesConfig
from components.feature_example_gen.labelled import labelled_service
from components.outside import Inputs, Parameters, State


def state(parameters: Parameters, inputs: Inputs) -> State:
    """The definition of the service, and the files of its labels and of its views' sources.

    Raises:
      BeamfleetError: a definition or a file cannot be found.
    """
    service = labelled_service(FeatureExamplesConfig.from_json(parameters["source"]))
    assert service.labels is not None
    return {
        "definition_fingerprint": definition_fingerprint(service),
        "input_fingerprint": data_fingerprint((service.labels, *sources_of(service))),
    }
