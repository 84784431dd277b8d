"""The state of the images."""

import uuid

from components.image_example_gen.config import ImageSource
from components.image_example_gen.plan import plan_images
from components.outside import Inputs, Parameters, State


def state(parameters: Parameters, inputs: Inputs) -> State:
    """What is there to be read now.

    Raises:
      BeamfleetError: a place holds nothing, or the reference file cannot be used.
    """
    plan = plan_images(ImageSource.from_json(parameters["source"]))
    found: State = {"input_fingerprint": plan.fingerprint}
    if plan.is_volatile:  # never the same twice: never from the cache
        found["fetch"] = uuid.uuid4().hex
    return found
