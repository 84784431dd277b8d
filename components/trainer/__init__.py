"""Trains one TensorFlow model with the user's `run_fn`."""
