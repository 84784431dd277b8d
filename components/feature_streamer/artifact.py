"""What FeatureStreamer publishes."""

from tfx.types import artifact


class FeatureStream(artifact.Artifact):
    """Streamed views: `stream.json` counts their events; their values are in the online store."""

    TYPE_NAME = "FeatureStream"
