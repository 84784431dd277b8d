"""What FeatureComputer publishes."""

from tfx.types import artifact


class FeatureViews(artifact.Artifact):
    """Computed views: `views.json` counts their rows; their values are in the store."""

    TYPE_NAME = "FeatureViews"
