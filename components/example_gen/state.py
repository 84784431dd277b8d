"""The state of the input files."""

from components.example_gen.files import find_files
from components.example_gen.source import IngestConfig
from components.outside import Inputs, Parameters, State
from components.user_function import source_fingerprint


def state(parameters: Parameters, inputs: Inputs) -> State:
    """What the files and the clean function are now, and the newest span.

    Raises:
      BeamfleetError: the files cannot be found.
    """
    config = IngestConfig.from_json(parameters["source"])
    files = find_files(config)
    found: State = {"input_fingerprint": files.fingerprint}
    if config.clean:
        found["clean_fingerprint"] = source_fingerprint(config.clean)
    if files.spans:
        found["span"] = files.spans[-1]
    return found
