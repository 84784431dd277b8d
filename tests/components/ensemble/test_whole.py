"""What is missing of a model is no matter of chance."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from components.captioning.blip import BlipCaptioner
from components.captioning.clip import ClipRanker
from components.ensemble.hugging_face import PipelineHandler, PretrainedHandler
from components.errors import BeamfleetError

HERE = Path(__file__).resolve().parents[3] / "data" / "captions"
Tensors = dict[str, torch.Tensor]


def changed(folder: Path, kind: str, change: Callable[[Tensors], None]) -> str:
    """A copy of one of the small models, with other weights."""
    shutil.copytree(HERE / kind, folder / kind)
    file = folder / kind / "model.safetensors"
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file, metadata={"format": "pt"})
    return str(folder / kind)


def without(start: str) -> Callable[[Tensors], None]:
    def remove(tensors: Tensors) -> None:
        names = [name for name in tensors if name.startswith(start)]
        assert names
        for name in names:
            del tensors[name]

    return remove


@pytest.mark.parametrize(
    ("kind", "start"),
    [
        ("clip", "logit_scale"),
        ("clip", "visual_projection"),
        ("clip", "vision_model.encoder.layers.0"),
        ("blip", "text_decoder.bert.encoder.layer.0"),
        ("blip", "vision_model.embeddings"),
    ],
)
def test_missing_weights_are_refused(tmp_path: Path, kind: str, start: str) -> None:
    folder = changed(tmp_path, kind, without(start))
    handler = BlipCaptioner(folder) if kind == "blip" else ClipRanker(folder)
    with pytest.raises(BeamfleetError, match=rf"{kind} lacks {start}.* of the weights"):
        handler.load_model()


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    def shorten(tensors: Tensors) -> None:
        tensors["visual_projection.weight"] = tensors["visual_projection.weight"][:, :-1].clone()

    with pytest.raises(BeamfleetError, match=r"lacks visual_projection.weight of the weights"):
        ClipRanker(changed(tmp_path, "clip", shorten)).load_model()


def test_other_handlers_of_transformers_refuse_them_too(tmp_path: Path) -> None:
    folder = changed(tmp_path, "clip", without("vision_model.encoder.layers.0"))
    with pytest.raises(BeamfleetError, match="of the weights of a CLIPVisionModel"):
        PretrainedHandler("CLIPVisionModel", folder).load_model()
    with pytest.raises(BeamfleetError, match="of the weights of a CLIPModel"):
        PipelineHandler("zero-shot-image-classification", folder).load_model()


@pytest.mark.parametrize("scale", [float("nan"), float("inf"), 1000.0])
def test_a_scale_that_makes_no_probabilities_is_refused(tmp_path: Path, scale: float) -> None:
    def set_scale(tensors: Tensors) -> None:
        tensors["logit_scale"] = torch.tensor(scale)

    with pytest.raises(BeamfleetError, match="logit_scale of CLIP computes NaN or infinity"):
        ClipRanker(changed(tmp_path, "clip", set_scale)).load_model()


@pytest.mark.parametrize(("kind", "handler"), [("blip", BlipCaptioner), ("clip", ClipRanker)])
def test_a_model_without_its_tokenizer_is_refused(tmp_path: Path, kind: str, handler: type) -> None:
    shutil.copytree(HERE / kind, tmp_path / kind)
    (tmp_path / kind / "tokenizer.json").unlink()
    with pytest.raises(Exception, match=r"tokenizer"):
        handler(str(tmp_path / kind)).load_model()


def test_code_of_a_model_is_neither_run_nor_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """transformers asks on the terminal whether to run it, and a scheduler's "y" is soon said."""
    shutil.copytree(HERE / "clip", tmp_path / "clip")
    file = tmp_path / "clip" / "processor_config.json"
    content = json.loads(file.read_text())
    content["image_processor"] |= {
        "auto_map": {"AutoImageProcessor": "own.Processor"},
        "image_processor_type": "Own",
    }
    file.write_text(json.dumps(content))
    (tmp_path / "clip" / "own.py").write_text(
        f"import pathlib; pathlib.Path({str(tmp_path / 'ran')!r}).touch()\nclass Processor: pass\n"
    )
    asked: list[str] = []
    monkeypatch.setattr("builtins.input", lambda *text: asked.append(str(text)) or "y")
    with pytest.raises(Exception, match="trust_remote_code"):
        ClipRanker(str(tmp_path / "clip")).load_model()
    assert not asked and not (tmp_path / "ran").exists()
