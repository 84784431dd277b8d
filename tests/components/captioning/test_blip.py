"""BLIP as a stage."""

import pickle
import shutil
from pathlib import Path

import apache_beam as beam
import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats
from transformers import BlipForConditionalGeneration

from components.captioning.blip import BlipCaptioner
from components.captioning.decoding import Lengths, sample_captions
from components.captioning.device import pixel_values
from components.ensemble.graph import Ensemble, Stage
from components.ensemble.record import Record
from components.ensemble.run import RunEnsemble
from components.errors import BeamfleetError
from tests.components.captioning.conftest import DATA
from tests.components.ensemble.handlers import COLLECTED, collect


@pytest.fixture(scope="module")
def captioner(folders):
    return BlipCaptioner(folders["blip"], num_captions=4, min_length=5, max_length=14)


@pytest.fixture(scope="module")
def loaded(captioner):
    return captioner.load_model()


@pytest.fixture(scope="module")
def plain(folders):
    """Transformers' own, without our attention."""
    return BlipForConditionalGeneration.from_pretrained(folders["blip"], dtype=torch.float32).eval()


def pixels_of(loaded, images):
    return loaded.processor.image_processor(images, return_tensors="pt").pixel_values


def captions_of(captioner, images, loaded):
    return [result.inference for result in captioner.run_inference(images, loaded)]


def test_an_image_gets_the_same_captions_in_any_batch(captioner, loaded, images):
    together = captions_of(captioner, images, loaded)
    for some in (images[::-1], images[2:5], [images[0]] * 3):
        for image, captions in zip(some, captions_of(captioner, some, loaded), strict=True):
            place = next(i for i, known in enumerate(images) if known is image)
            assert [c.text for c in captions] == [c.text for c in together[place]]
    assert len({captions[0].text for captions in together}) > 5


def test_another_seed_samples_other_captions(folders, loaded, images):
    texts = [
        captions_of(BlipCaptioner(folders["blip"], max_length=14, seed=seed), images[:1], loaded)
        for seed in (0, 1)
    ]
    assert texts[0] != texts[1]


def test_all_captions_are_counted(captioner, loaded, images):
    for captions in captions_of(captioner, images, loaded):
        assert sum(caption.times for caption in captions) == 4


def test_the_vision_model_sees_each_image_once(folders, loaded, images, monkeypatch):
    seen = []
    forward = loaded.model.vision_model.forward
    monkeypatch.setattr(
        loaded.model.vision_model,
        "forward",
        lambda pixels, **more: seen.append(len(pixels)) or forward(pixels, **more),
    )
    for beams in (1, 6):
        captioner = BlipCaptioner(folders["blip"], 6, max_length=9, num_beams=beams)
        captioner.run_inference(images, loaded)
    assert seen == [len(images)] * 2


def test_beam_search_gives_what_transformers_gives(folders, loaded, plain, images):
    captioner = BlipCaptioner(folders["blip"], 3, min_length=5, max_length=12, num_beams=4)
    ours = captions_of(captioner, images, loaded)
    with torch.inference_mode():
        theirs = plain.generate(
            pixels_of(loaded, images),
            num_beams=4,
            num_return_sequences=3,
            do_sample=False,
            min_length=5,
            max_length=12,
        )
    texts = loaded.processor.batch_decode(theirs[:, 1:], skip_special_tokens=True)
    for place, captions in enumerate(ours):
        expected = {text.strip() for text in texts[3 * place : 3 * place + 3]}
        assert {caption.text for caption in captions} == expected


def test_log_probabilities_are_the_models(loaded, plain, images):
    with torch.inference_mode():
        states = loaded.model.vision_model(pixels_of(loaded, images)).last_hidden_state
        seeds = torch.arange(3 * len(images)).view(-1, 3)
        tokens, totals = sample_captions(loaded.model, states, seeds, Lengths(1, 12))
        start = torch.full((len(tokens), 1), plain.config.text_config.bos_token_id)
        rows = torch.cat([start, tokens], dim=1)
        logits = plain.text_decoder(
            input_ids=rows[:, :-1], encoder_hidden_states=states.repeat_interleave(3, dim=0)
        ).logits
    log_probabilities = logits.double().log_softmax(-1).gather(-1, rows[:, 1:, None])[..., 0]
    end = plain.config.text_config.sep_token_id
    after = ((rows[:, :-1] == end).cumsum(1) > 0) & (rows[:, :-1] != -1)
    expected = log_probabilities.masked_fill(after, 0).sum(1)
    assert torch.allclose(totals, expected, atol=1e-4)
    assert after.any()
    assert not after.all(1).any()


def test_captions_are_drawn_from_the_models_distribution(loaded, plain, images):
    """The first word of 6,000 captions of one image, against its probabilities."""
    with torch.inference_mode():
        states = loaded.model.vision_model(pixels_of(loaded, images[:1])).last_hidden_state
        tokens, _ = sample_captions(loaded.model, states, torch.arange(6000)[None], Lengths(1, 2))
        start = torch.tensor([[plain.config.text_config.bos_token_id]])
        logits = plain.text_decoder(input_ids=start, encoder_hidden_states=states).logits[0, -1]
    found = np.bincount(tokens[:, 0].numpy(), minlength=len(logits))
    expected = 6000 * logits.double().softmax(-1).numpy()
    assert stats.chisquare(found, expected).pvalue > 1e-3
    assert np.count_nonzero(found) > 10


def test_lengths_are_kept(loaded, images):
    with torch.inference_mode():
        states = loaded.model.vision_model(pixels_of(loaded, images)).last_hidden_state
        seeds = torch.arange(20 * len(images)).view(-1, 20)
        tokens, _ = sample_captions(loaded.model, states, seeds, Lengths(8, 12))
    ends = tokens == loaded.model.config.text_config.sep_token_id
    assert tokens.shape[1] == 11  # and the start
    assert not ends[:, :6].any()
    assert ends[:, 6].any()


@pytest.mark.parametrize("beams", [1, 4])
@pytest.mark.parametrize(("most", "is_cut"), [(8, True), (30, False)])
def test_captions_that_reach_the_greatest_length_say_so(beams, most, is_cut):
    """The model that comes with us, on scenes whose captions have nine words or more."""
    scenes = DATA / "scenes"
    images = [np.asarray(Image.open(scenes / f"{number:06}.png")) for number in (0, 1, 2)]
    captioner = BlipCaptioner(
        str(DATA / "captions" / "blip"), num_captions=2, max_length=most, num_beams=beams
    )
    found = captions_of(captioner, images, captioner.load_model())
    assert {captions[0].is_cut for captions in found} == {is_cut}


def test_a_picture_that_is_three_pixels_high_is_not_taken_for_three_channels(loaded):
    image = np.random.default_rng(0).integers(0, 256, (3, 40, 3), dtype=np.uint8)
    ours = pixel_values([image], loaded.processor.image_processor, loaded.model)
    theirs = loaded.processor.image_processor(Image.fromarray(image), return_tensors="pt")
    assert torch.equal(ours, theirs.pixel_values)


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (b"\xff\xd8", "an image is bytes, .*images.decode.decode"),
        (np.zeros((3, 3), np.uint8), r"an image is \(3, 3\) uint8"),
        (np.zeros((3, 3, 3)), r"an image is \(3, 3, 3\) float64"),
        (np.zeros((3, 301, 3), np.uint8), "301 x 3 pixels, the longer side may be 100 times"),
    ],
)
def test_what_is_no_image_is_said(loaded, image, says):
    with pytest.raises(BeamfleetError, match=says):
        pixel_values([image], loaded.processor.image_processor, loaded.model)


def test_in_a_pipeline_every_image_is_captioned_or_named(captioner, images):
    empty = np.zeros((0, 5, 3), np.uint8)
    records = [Record(str(i), {"image": image}) for i, image in enumerate([*images, empty])]
    ensemble = Ensemble(Stage("caption", captioner, inputs="image"))
    COLLECTED.clear()
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        _ = pipeline | beam.Create(records) | RunEnsemble(ensemble) | beam.Map(collect)
    failed = [record.key for record in COLLECTED if record.failure]
    assert failed == [str(len(images))]
    assert sorted(r.key for r in COLLECTED) == sorted(r.key for r in records)
    named = {r.versions["caption"] for r in COLLECTED if not r.failure}
    assert named == {captioner._version}


def test_broken_weights_give_no_captions(captioner, images):
    broken = captioner.load_model()
    with torch.no_grad():
        broken.model.vision_model.post_layernorm.weight[0] = torch.nan
    with pytest.raises(BeamfleetError, match="BLIP computes NaN"):
        captioner.run_inference(images[:2], broken)


def test_no_bar_is_drawn_where_a_model_is_loaded(captioner, capfd):
    from transformers.utils import logging

    logging.enable_progress_bar()
    captioner.load_model()
    assert "Loading" not in capfd.readouterr().err


def test_what_loads_is_safetensors_only(folders, tmp_path):
    folder = tmp_path / "blip"
    shutil.copytree(folders["blip"], folder)
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(Exception, match="safetensors"):
        BlipCaptioner(str(folder)).load_model()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"num_captions": 0}, "at least 1"),
        ({"max_length": 1}, "max_length"),
        ({"min_length": 9, "max_length": 8}, "max_length"),
        ({"num_beams": 3, "num_captions": 4}, "beams"),
    ],
)
def test_nonsense_is_refused_at_once(wrong, says):
    with pytest.raises(BeamfleetError, match=says):
        BlipCaptioner("blip", **wrong)


def test_longer_captions_than_the_model_writes_are_refused(folders):
    captioner = BlipCaptioner(str(Path(folders["blip"])), max_length=33)
    with pytest.raises(BeamfleetError, match="at most 32 tokens"):
        captioner.check_files()
    with pytest.raises(BeamfleetError, match="at most 32 tokens"):
        captioner.load_model()
    with pytest.raises(BeamfleetError, match="at most 32 tokens"):
        BlipCaptioner(str(Path(folders["blip"])), min_length=33).check_files()


@pytest.mark.parametrize("beams", [1, 5])
def test_the_default_length_is_what_the_model_can_write(folders, loaded, images, beams):
    captioner = BlipCaptioner(folders["blip"], num_beams=beams)
    captioner.check_files()
    [captions] = captions_of(captioner, images[:1], loaded)
    assert sum(one.times for one in captions) == 5


def test_another_model_is_told_by_its_settings(folders):
    with pytest.raises(BeamfleetError, match=r"clip holds a CLIPModel, expected a BlipFor"):
        BlipCaptioner(folders["clip"]).check_files()
    with pytest.raises(BeamfleetError, match=r"clip holds a CLIPModel, expected a BlipFor"):
        BlipCaptioner(folders["clip"]).load_model()
