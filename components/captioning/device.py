"""Where models run, in which precision, and what they are shown."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from components.errors import BeamfleetError
from components.images.decode import Pixels, check_aspect


def best_device() -> torch.device:
    """The GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def precision(device: torch.device) -> torch.dtype:
    """bfloat16 on a GPU; float32 on the CPU, where no caption depends on the batch."""
    return torch.bfloat16 if device.type == "cuda" else torch.float32


def placed(model: nn.Module, device: torch.device) -> nn.Module:
    """The model for inference, on the device and in its precision."""
    return model.to(device=device, dtype=precision(device)).eval()


def pixel_values(images: Sequence[Pixels], image_processor: Any, model: nn.Module) -> Tensor:
    """What the model is shown: (n, 3, side, side) on its device and in its precision.

    Raises:
      BeamfleetError: an image is not (height, width, 3) uint8, has no pixel, or is too long for its
        width, see `check_aspect`.
    """
    for image in images:
        if not isinstance(image, np.ndarray):
            raise BeamfleetError(
                f"an image is {type(image).__name__}, expected (height, width, 3) uint8 pixels as "
                "components.images.decode.decode(content) gives them"
            )
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
            raise BeamfleetError(
                f"an image is {image.shape} {image.dtype}, expected (height, width, 3) uint8"
            )
        check_aspect(image.shape[1], image.shape[0])
    # Said, because a picture that is three pixels high would be taken for one of three channels.
    made = image_processor(list(images), return_tensors="pt", input_data_format="channels_last")
    pixels: Tensor = made.pixel_values.to(model.device, model.dtype)
    return pixels


def check_finite(numbers: Tensor, model: str) -> None:
    """Broken weights give captions and ranks as well, only without any meaning.

    Raises:
      BeamfleetError: a number is NaN or infinite.
    """
    if not numbers.isfinite().all():
        raise BeamfleetError(f"{model} computes NaN or infinity; its weights or the image are odd")
