"""What every test needs before it imports anything."""

from components.native import shield_triton

shield_triton()  # tests of TensorFlow and of PyTorch share this process, in any order
