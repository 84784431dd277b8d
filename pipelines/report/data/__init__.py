"""What the sections show, read from artifacts: no TensorFlow, no HTML."""
