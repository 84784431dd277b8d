"""What a folder of a model says of itself."""

import json
from pathlib import Path

import pytest

from components.ensemble.pretrained import pretrained_config
from components.errors import BeamfleetError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["CLIPModel"], "a": 1}))
    (tmp_path / "model-00001-of-00002.safetensors").touch()
    return tmp_path


def test_the_settings_of_the_right_model_are_read(folder):
    assert pretrained_config(str(folder), "CLIPModel")["a"] == 1


def test_a_folder_that_names_no_class_is_taken(folder):
    (folder / "config.json").write_text("{}")
    assert pretrained_config(str(folder), "CLIPModel") == {}


@pytest.mark.parametrize("content", [None, "no JSON", "[]"])
def test_a_folder_without_settings_is_no_model(folder, content):
    (folder / "config.json").unlink()
    if content is not None:
        (folder / "config.json").write_text(content)
    with pytest.raises(BeamfleetError, match=r"holds no model, expected a CLIPModel as save_pre"):
        pretrained_config(str(folder), "CLIPModel")


def test_another_model_is_named(folder):
    with pytest.raises(BeamfleetError, match=r"holds a CLIPModel, expected a BlipModel"):
        pretrained_config(str(folder), "BlipModel")


def test_weights_must_be_safetensors(folder):
    next(folder.glob("*.safetensors")).rename(folder / "pytorch_model.bin")
    with pytest.raises(BeamfleetError, match="but no safetensors"):
        pretrained_config(str(folder), "CLIPModel")
