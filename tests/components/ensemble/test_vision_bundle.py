"""Real BLIP and CLIP classes: their weights travel in an ensemble, sharded ones too."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from apache_beam.ml.inference.base import ModelHandler  # noqa: E402

from components.ensemble.around import innermost  # noqa: E402
from components.ensemble.bundle import write_bundle  # noqa: E402
from components.ensemble.graph import Ensemble, Stage  # noqa: E402
from components.ensemble.weights import ModelSource  # noqa: E402

TEXT = {
    "vocab_size": 32, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1,
    "num_attention_heads": 2, "max_position_embeddings": 16,
}  # fmt: skip
VISION = {
    "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
    "image_size": 32, "patch_size": 16,
}  # fmt: skip


class Loads(ModelHandler[Any, Any, Any]):
    """Loads a model as the captioning stages do: safetensors only, nothing is fetched."""

    def __init__(self, kind: str, folder: str) -> None:
        super().__init__()
        self.kind, self.folder = kind, folder

    def load_model(self) -> Any:
        kind = getattr(transformers, self.kind)
        return kind.from_pretrained(self.folder, local_files_only=True, use_safetensors=True)

    def run_inference(self, batch: Any, model: Any, inference_args: Any = None) -> list[int]:
        return [sum(p.numel() for p in model.parameters())] * len(batch)


def ensemble_fn(models: Mapping[str, str], hparams: Mapping[str, Any]) -> Ensemble:
    return Ensemble(
        Stage("caption", Loads("BlipForConditionalGeneration", models["blip"]), inputs="image"),
        Stage("rank", Loads("CLIPModel", models["clip"]), inputs=("image", "caption")),
    )


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Random weights in the classes that `--blip` and `--clip` take, BLIP's in shards."""
    root = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    clip = transformers.CLIPConfig(text_config=TEXT, vision_config=VISION, projection_dim=8)
    transformers.CLIPModel(clip).save_pretrained(root / "clip")
    blip = transformers.BlipConfig(
        text_config={**TEXT, "encoder_hidden_size": 16}, vision_config=VISION, projection_dim=8
    )
    transformers.BlipForConditionalGeneration(blip).save_pretrained(
        root / "blip", max_shard_size="20KB"
    )
    return {name: root / name for name in ("blip", "clip")}


def test_the_weights_of_blip_and_clip_arrive(folders, tmp_path):
    assert len(list(folders["blip"].glob("model-*.safetensors"))) > 1
    sources = {name: ModelSource.parse(str(folder)) for name, folder in folders.items()}
    bundle = write_bundle(str(tmp_path / "bundle"), f"{__name__}.ensemble_fn", sources, {})
    assert bundle.inputs == ("image",)
    for stage, folder in zip(bundle.ensemble().stages, folders.values(), strict=True):
        handler = innermost(stage.handler)
        assert Path(handler.folder).is_relative_to(tmp_path)
        loaded = stage.handler.load_model().state_dict()
        before = Loads(handler.kind, str(folder)).load_model().state_dict()
        assert loaded.keys() == before.keys()
        assert all(torch.equal(loaded[name], before[name]) for name in before)
