"""Models and pipelines of Hugging Face are stages without glue."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertTokenizer,
    CLIPImageProcessor,
    CLIPVisionConfig,
    CLIPVisionModel,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessor,
    pipeline,
)

from components.ensemble.graph import Ensemble, Stage
from components.ensemble.hugging_face import PipelineHandler, PretrainedHandler
from components.ensemble.record import Record
from components.ensemble.run import RunEnsemble
from components.errors import BeamfleetError
from tests.components.ensemble.contract import check_equal, check_stage, run
from tests.components.ensemble.live_models import paint
from tests.components.ensemble.tiny_clip import INPUTS, SIZES, clip_alone, pairs, tiny_clip

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "good", "bad", "film", "is", "the"]


def test_a_model_on_arrays_by_name(tmp_path):
    tiny_clip().save_pretrained(tmp_path)
    handler = PretrainedHandler("CLIPModel", str(tmp_path), min_batch_size=1, max_batch_size=1)
    bad = [{"input_ids": torch.ones(6, dtype=torch.long)}, {**pairs(1)[0], "input_ids": None}]
    check_stage(Stage("y", handler, inputs=INPUTS), pairs(20), clip_alone, bad)


def test_outputs_in_outputs_of_one_image(tmp_path):
    torch.manual_seed(0)
    model = CLIPVisionModel(CLIPVisionConfig(**SIZES, image_size=8, patch_size=4)).eval()
    model.save_pretrained(tmp_path)
    handler = PretrainedHandler("CLIPVisionModel", str(tmp_path), max_batch_size=8)
    stage = Stage("y", handler, inputs={"pixel_values": "pixels"})
    rows = [{"pixels": pair["pixel_values"].numpy()} for pair in pairs(30)]

    @torch.no_grad()
    def alone(row: dict) -> dict:
        return {k: v[0] for k, v in model(torch.from_numpy(row["pixels"])[None]).items()}

    check_stage(stage, rows, alone, [{"pixels": np.zeros((3, 9, 9), np.float32)}])


@pytest.fixture
def mood(tmp_path: Path) -> str:
    """A tiny BERT with a tokenizer of eleven words."""
    torch.manual_seed(0)
    config = BertConfig(**SIZES, vocab_size=len(WORDS), max_position_embeddings=16, num_labels=3)
    BertForSequenceClassification(config).save_pretrained(tmp_path)
    (tmp_path / "words.txt").write_text("\n".join(WORDS))
    BertTokenizer(str(tmp_path / "words.txt"), model_max_length=16).save_pretrained(tmp_path)
    return str(tmp_path)


def test_a_pipeline_on_texts(mood):
    direct = pipeline("text-classification", model=mood)
    texts = ["the film is good", "bad", "a bad film is a bad film", "good good"] * 5
    stage = Stage("mood", PipelineHandler("text-classification", mood, max_batch_size=8), "x")
    check_stage(stage, texts, lambda text: direct([text])[0], [None, 7])
    stage = Stage(
        "mood",
        PipelineHandler("text-classification", mood),
        inputs="x",
        inference_args={"top_k": None},
    )
    [record] = run(RunEnsemble(Ensemble(stage)), [Record("k", {"x": texts[0]})])
    assert len(record.values["mood"]) == 3 and record.versions == {"mood": mood}


def test_a_pipeline_whose_input_is_a_mapping(tmp_path, mood):
    """Zero-shot classification gives a mapping of lists for one text, which must not be cut."""
    config = json.loads(Path(mood, "config.json").read_text())
    config["label2id"] = {"contradiction": 0, "neutral": 1, "entailment": 2}
    config["id2label"] = {str(v): k for k, v in config["label2id"].items()}
    Path(mood, "config.json").write_text(json.dumps(config))
    direct = pipeline("zero-shot-classification", model=mood)
    labels = {"candidate_labels": ["good", "bad", "film"]}
    stage = Stage(
        "label",
        PipelineHandler("zero-shot-classification", mood),
        inputs="x",
        inference_args=labels,
    )
    texts = ["the film is good", "bad", "is a film"]
    for some in (texts, texts[:1]):
        results = run(RunEnsemble(Ensemble(stage)), [Record(t, {"x": t}) for t in some])
        assert {r.key for r in results} == set(some)
        for record in results:
            expected = direct([record.key], **labels)[0]
            assert record.values["label"]["labels"] == expected["labels"]
            check_equal(record.values["label"]["scores"], expected["scores"])


def test_a_pipeline_on_our_images(tmp_path):
    torch.manual_seed(0)
    config = ViTConfig(**SIZES, image_size=8, patch_size=4, num_labels=3)
    ViTForImageClassification(config).save_pretrained(tmp_path)
    ViTImageProcessor(size={"height": 8, "width": 8}).save_pretrained(tmp_path)
    direct = pipeline("image-classification", model=str(tmp_path))
    from PIL import Image

    images = [paint(n % 3, n) for n in range(12)]
    stage = Stage("kind", PipelineHandler("image-classification", str(tmp_path)), inputs="x")
    results = run(
        RunEnsemble(Ensemble(stage)),
        [Record(str(n), {"x": image}) for n, image in enumerate(images)],
    )
    for record in results:
        expected = direct(Image.fromarray(images[int(record.key)]))
        found = record.values["kind"]
        assert [one["label"] for one in found] == [one["label"] for one in expected]
        check_equal([one["score"] for one in found], [one["score"] for one in expected])
    assert len(results) == 12


@pytest.mark.parametrize(
    "handler",
    [
        PipelineHandler("text-classification", "not/there"),
        PretrainedHandler("AutoModel", "not/there"),
    ],
)
def test_nothing_is_fetched(handler):
    with pytest.raises(BeamfleetError, match="not/there is no folder"):
        handler.load_model()


def test_processors_are_part_of_the_users_function(tmp_path):
    """A handler with Beam's functions around it: pixels in, an embedding out."""
    tiny_clip().vision_model.config.save_pretrained(tmp_path)
    model = CLIPVisionModel(CLIPVisionConfig(**SIZES, image_size=8, patch_size=4)).eval()
    model.save_pretrained(tmp_path)
    handler = PretrainedHandler("CLIPVisionModel", str(tmp_path))
    around = handler.with_preprocess_fn(shown).with_postprocess_fn(pooled)
    stage = Stage("embedding", around, inputs="x")

    @torch.no_grad()
    def alone(image: np.ndarray) -> torch.Tensor:
        return model(shown(image)["pixel_values"][None]).pooler_output[0]

    check_stage(stage, [paint(n % 3, n) for n in range(9)], alone, ["no image"])


def shown(image: np.ndarray) -> dict:
    processor = CLIPImageProcessor(size=8, crop_size=8)
    made = processor(image, return_tensors="pt", input_data_format="channels_last")
    return {"pixel_values": made.pixel_values[0]}


def pooled(result):
    return result.inference["pooler_output"]
