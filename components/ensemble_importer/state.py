"""What the folders and revisions of models hold."""

import json
from dataclasses import asdict

from components.ensemble.weights import ModelSource
from components.outside import Inputs, Parameters, State


def state(parameters: Parameters, inputs: Inputs) -> State:
    """The sources, pinned.

    Raises:
      BeamfleetError: a folder or a revision cannot be read.
    """
    models = json.loads(parameters["models"])
    sources = {name: asdict(ModelSource.parse(text).pinned()) for name, text in models.items()}
    return {"sources": json.dumps(sources, sort_keys=True)}
