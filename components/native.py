"""Native libraries that must not meet in one process."""

import ctypes
import importlib.util
import os
import sys
from pathlib import Path

_LOADED = "triton._C.libtriton"


def shield_triton() -> None:
    """Has Triton use its own LLVM; to be called before whatever may import Triton.

    TensorFlow 2.20 and 2.21 put their LLVM among the symbols of the whole process, and then
    `import triton`, which is done by `transformers` and `torch.compile`, ends in a segmentation
    fault. A library is loaded once: loaded here, with its own symbols first, it is safe in either
    order. Costs 20 ms once; does nothing where there is no Triton.

    Source: https://github.com/tensorflow/tensorflow/issues/124205 (mended after 2.21).
    """
    found = None if _LOADED in sys.modules else importlib.util.find_spec("triton")
    if found is None or found.origin is None or not sys.platform.startswith("linux"):
        return
    library = Path(found.origin).parent / "_C" / "libtriton.so"
    ctypes.CDLL(str(library), os.RTLD_NOW | os.RTLD_DEEPBIND)
