"""Preprocesses examples with TensorFlow Transform."""
