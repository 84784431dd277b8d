"""CLIP as a stage."""

import apache_beam as beam
import pytest
import torch
from transformers import CLIPModel, CLIPProcessor

from components.captioning.blip import BlipCaptioner
from components.captioning.caption import Caption, RankedCaption
from components.captioning.clip import ClipRanker
from components.ensemble.graph import Ensemble, Stage
from components.ensemble.record import Record
from components.ensemble.run import RunEnsemble
from components.errors import BeamfleetError
from tests.components.ensemble.handlers import COLLECTED, collect

TEXTS = (
    ("a red circle", "a blue square above a red circle", "white"),
    ("a large triangle", "a red circle"),
    ("yellow",),
)


@pytest.fixture(scope="module")
def ranker(folders):
    return ClipRanker(folders["clip"])


@pytest.fixture(scope="module")
def loaded(ranker):
    return ranker.load_model()


def pairs(images):
    captions = [[Caption(text, -1.0 - i) for i, text in enumerate(texts)] for texts in TEXTS]
    return list(zip(images, captions, strict=False))


def test_it_gives_what_transformers_gives(ranker, loaded, folders, images):
    model = CLIPModel.from_pretrained(folders["clip"], dtype=torch.float32).eval()
    processor = CLIPProcessor.from_pretrained(folders["clip"])
    for pair, result in zip(
        pairs(images), ranker.run_inference(pairs(images), loaded), strict=True
    ):
        texts = [caption.text for caption in pair[1]]
        inputs = processor(text=texts, images=[pair[0]], return_tensors="pt", padding=True)
        with torch.inference_mode():
            logits = model(**inputs).logits_per_image[0]
            cosines = (logits / model.logit_scale.exp()).tolist()
        expected = dict(zip(texts, logits.softmax(-1).tolist(), strict=True))
        found = {one.text: one.probability for one in result.inference}
        assert found == pytest.approx(expected, abs=1e-5)
        by_text = {one.text: one.similarity for one in result.inference}
        assert by_text == pytest.approx(dict(zip(texts, cosines, strict=True)), abs=1e-5)
        assert [one.probability for one in result.inference] == sorted(found.values(), reverse=True)


def test_images_are_looked_at_once_and_equal_captions_are_read_once(
    ranker, loaded, images, monkeypatch
):
    seen = {"vision_model": [], "text_model": []}
    for name, calls in seen.items():
        module = getattr(loaded.model, name)
        forward = module.forward

        def counted(*args, forward=forward, calls=calls, **more):
            calls.append(len(next(iter([*args, *more.values()]))))
            return forward(*args, **more)

        monkeypatch.setattr(module, "forward", counted)
    ranker.run_inference(pairs(images), loaded)
    assert seen == {"vision_model": [3], "text_model": [5]}  # "a red circle" twice


def test_a_caption_that_clip_cannot_read_is_refused_not_cut_off(ranker, loaded, images):
    long = Caption("a red circle above " * 12, -1.0)
    with pytest.raises(BeamfleetError, match="CLIP reads 32"):
        ranker.run_inference([(images[0], [long])], loaded)
    with pytest.raises(BeamfleetError, match="no caption"):
        ranker.run_inference([(images[0], [])], loaded)


def test_broken_weights_give_no_ranks(ranker, images):
    broken = ranker.load_model()
    with torch.no_grad():
        broken.model.visual_projection.weight[0] = torch.nan
    with pytest.raises(BeamfleetError, match="CLIP computes NaN"):
        ranker.run_inference(pairs(images), broken)


def test_another_model_is_told_by_its_settings(folders):
    for look in (ClipRanker(folders["blip"]).check_files, ClipRanker(folders["blip"]).load_model):
        with pytest.raises(BeamfleetError, match=r"holds a BlipFor.*, expected a CLIPModel"):
            look()


def test_in_a_pipeline_with_blip_every_image_is_ranked_or_named(folders, images):
    ensemble = Ensemble(
        Stage("caption", BlipCaptioner(folders["blip"], 3, max_length=12), inputs="image"),
        Stage("rank", ClipRanker(folders["clip"]), inputs=("image", "caption")),
    )
    records = [Record(str(i), {"image": image}) for i, image in enumerate(images)]
    COLLECTED.clear()
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        _ = pipeline | beam.Create(records) | RunEnsemble(ensemble) | beam.Map(collect)
    assert sorted(record.key for record in COLLECTED) == sorted(record.key for record in records)
    for record in COLLECTED:
        assert record.failure is None
        ranked = record.values["rank"]
        assert all(isinstance(one, RankedCaption) for one in ranked)
        assert sum(one.probability for one in ranked) == pytest.approx(1)
        written = record.values["caption"]
        assert {(c.text, c.times) for c in written} == {(r.text, r.times) for r in ranked}
        by_place = sorted(ranked, key=lambda one: one.place)
        assert [one.text for one in by_place] == [one.text for one in written]
