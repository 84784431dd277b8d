"""Change points of what was known: an event counts once it happened and was created."""

from components.feature_values.intervals import Elements, Points
from components.features.view import FeatureView


def known_points(view: FeatureView, elements: Elements) -> list[tuple[Elements, Points]]:
    raise NotImplementedError
