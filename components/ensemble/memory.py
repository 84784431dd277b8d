"""What a device has of memory, and what to do when none is left."""

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


def limit_gpu_memory(megabytes: float) -> None:
    """Lets torch take so much of the GPU in this process, for weights and batches of all models.

    Beyond it torch says that it is out of memory. Does nothing without torch or without a GPU.
    """
    try:
        import torch
    except ImportError:
        return
    if torch.cuda.is_available():
        total = torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, megabytes * 1e6 / total))


def free_memory() -> None:
    """Frees what nobody refers to, and gives the GPU back what torch keeps for later."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
