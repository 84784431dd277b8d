"""A TensorFlow SavedModel as a model like the others: described, checked, loaded, predicted."""
