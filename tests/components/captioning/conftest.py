"""A small BLIP and CLIP with real tokenizers and image processors, and random weights."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

DATA = Path(__file__).resolve().parents[3] / "data"


@pytest.fixture(scope="session")
def training():
    """The script that trains the models that come with us."""
    sys.path.insert(0, str(DATA))
    try:
        spec = importlib.util.spec_from_file_location("train_captions", DATA / "train_captions.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules["train_captions"] = module
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(DATA))
    return module


@pytest.fixture(scope="session")
def folders(training, tmp_path_factory):
    """Name -> folder of the saved model."""
    root = tmp_path_factory.mktemp("models")
    torch.manual_seed(1)
    for name, trainer in (("blip", training.BlipTrainer()), ("clip", training.ClipTrainer())):
        for weight in trainer.model.parameters():
            torch.nn.init.normal_(weight, std=0.08)  # words are neither sure nor alike
        training.save(trainer.model, trainer.processor, root / name)
    return {name: str(root / name) for name in ("blip", "clip")}


@pytest.fixture(scope="session")
def images():
    rng = np.random.default_rng(0)
    sizes = rng.integers(20, 90, (9, 2))
    return [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
