"""Makes an Examples artifact of images."""
