"""Which columns of a schema are in use."""

from typing import Any

# LifecycleStage of tensorflow_metadata; the same as TensorFlow Transform leaves out.
_OUT_OF_USE = {"PLANNED", "ALPHA", "DEBUG_ONLY", "DEPRECATED", "DISABLED"}


def is_used(feature: Any) -> bool:
    """Whether a column is there to be trained on: DEPRECATED ones and the like are not."""
    return stage(feature) not in _OUT_OF_USE


def stage(feature: Any) -> str:
    """Name of the lifecycle stage; UNKNOWN_STAGE where there is none."""
    from tensorflow_metadata.proto.v0 import schema_pb2

    return str(schema_pb2.LifecycleStage.Name(feature.lifecycle_stage))
