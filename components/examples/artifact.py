"""An Examples artifact as the work modules know it."""

from tfx import types
from tfx.components.util import examples_utils
from tfx.types.artifact_utils import decode_split_names

from components.examples.read import ExamplesSplit


def splits_of(artifact: types.Artifact) -> list[ExamplesSplit]:
    """All splits of the artifact."""
    payload = examples_utils.get_payload_format_string(artifact)
    names = decode_split_names(artifact.split_names)
    return [ExamplesSplit(artifact.uri, name, payload) for name in names]
