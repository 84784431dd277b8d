"""What a model is given to predict: the features of entities now, as it had them in training."""

from components.feature_vectors.rows import RowError, frame_of_rows
from components.feature_vectors.vectors import FeatureVectors, Vectors

__all__ = ["FeatureVectors", "RowError", "Vectors", "frame_of_rows"]
