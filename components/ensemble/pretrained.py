"""Models that `save_pretrained` wrote: what their folder says of them, and how they are loaded."""

import json
from pathlib import Path
from typing import Any

from components.errors import BeamfleetError


def pretrained_config(folder: str, model_class: str) -> dict[str, Any]:
    """Reads config.json of a model of transformers in safetensors.

    Args:
      folder: local, with the model's files.
      model_class: that the model must be of, such as "CLIPModel".

    Raises:
      BeamfleetError: the folder holds no model, one of another class, or no safetensors.
    """
    try:
        config: dict[str, Any] = json.loads(Path(folder, "config.json").read_bytes())
        # Old folders name no class. One of a kind without ours would load, with random weights.
        classes = config.get("architectures") or [model_class]
    except (OSError, ValueError, AttributeError):
        raise BeamfleetError(
            f"{folder} holds no model, expected a {model_class} as save_pretrained writes it: "
            "config.json with its settings, and safetensors"
        ) from None
    if model_class not in classes:
        raise BeamfleetError(f"{folder} holds a {', '.join(classes)}, expected a {model_class}")
    if not any(Path(folder).glob("*.safetensors")):
        raise BeamfleetError(f"{folder} holds the settings of a {model_class}, but no safetensors")
    return config


def load_silently() -> None:
    """Switches off the bars that transformers draws for each model, in the log of a server too."""
    from transformers.utils import logging

    logging.disable_progress_bar()
