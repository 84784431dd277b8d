"""Captions of images: BLIP writes them, CLIP ranks them."""

from components.native import shield_triton

shield_triton()  # transformers imports Triton, and TFX has imported TensorFlow
