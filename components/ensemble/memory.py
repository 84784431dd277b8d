"""What to do when a device has no memory left."""

import gc
import re
import sys

_TYPES = {"OutOfMemoryError", "ResourceExhaustedError"}  # of torch and TensorFlow
_WORDS = re.compile(
    r"out of memory|can't allocate memory|failed to allocate memory|_ALLOC_FAILED", re.IGNORECASE
)
"""In the RuntimeErrors of torch on the CPU, CUDA's libraries and ONNX Runtime."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a smaller batch may help; knows the frameworks' errors without importing them."""
    if isinstance(error, MemoryError) or type(error).__name__ in _TYPES:
        return True
    return bool(_WORDS.search(str(error)))


def free_memory() -> None:
    """Frees what nobody refers to, and gives the GPU back what torch keeps for later."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
