from components.native import shield_triton

shield_triton()  # tests of one process import TensorFlow and transformers
