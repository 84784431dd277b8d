"""An ensemble behind requests, without a process."""

import base64
import gc
import json
import math
import time
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from components.ensemble.around import innermost
from components.ensemble.record import Record
from components.errors import BeamfleetError
from components.images.decode import decode
from components.model_server import ensemble_tensors
from components.model_server.ensembles import ServableEnsemble
from components.model_server.requests import RequestError
from components.model_server.servable import Limits, opener
from components.model_server.served import ServedModels
from components.pusher.versions import PushedVersions
from tests.components.model_server.asking import answers, served_pair
from tests.components.model_server.ensembles import (
    COLOURS,
    colour_bundle,
    image_request,
    picture,
    scale_bundle,
    words_bundle,
)
from tests.components.model_server.stores import census_store

LIMITS = Limits(max_rows=100, until=math.inf)


@dataclass
class FakeTensor:
    name: str
    shape: list[int]
    datatype: str
    data: Any


def loaded(uri: str) -> ServableEnsemble:
    ensemble = ServableEnsemble(uri)
    ensemble.load()
    return ensemble


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> ServableEnsemble:
    return loaded(colour_bundle(tmp_path_factory.mktemp("ensembles") / "colours"))


def ask(
    ensemble: ServableEnsemble, request: dict[str, Any], limits: Limits = LIMITS, **changes: Any
) -> dict[str, list[Any]]:
    """The answer as values; `changes` are made to the last input."""
    tensors = [FakeTensor(**tensor) for tensor in request["inputs"]]
    tensors[-1].__dict__.update(changes)
    outputs = ensemble.answer(tensors, [t["name"] for t in ensemble.output_tensors()], limits)
    for output in outputs:
        assert (output["datatype"], output["shape"]) == ("BYTES", [len(output["data"])])
    return {output["name"]: [json.loads(text) for text in output["data"]] for output in outputs}


def refusal(ensemble: ServableEnsemble, request: dict[str, Any], **changes: Any) -> tuple[int, str]:
    with pytest.raises(RequestError) as caught:
        ask(ensemble, request, **changes)
    message = str(caught.value)
    assert len(message) < 500 and "\n" not in message
    return caught.value.status, message


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP"])
def test_each_stage_answers_for_each_image(colours: ServableEnsemble, kind: str):
    options = [picture(seed=seed, kind=kind) for seed in range(3)]
    answer = ask(colours, image_request(*options))
    assert list(answer) == ["name", "rank", "versions"]
    assert answer["versions"] == [{"name": "palette-1"}] * 3
    for file, named, ranked in zip(options, answer["name"], answer["rank"], strict=True):
        if kind == "PNG":  # lossless: the share of a colour is that of its channel
            shares = (decode(file) == 255).mean((0, 1)).tolist()
            assert [one["share"] for one in named] == shares
        assert [one["text"] for one in named] == list(COLOURS)
        assert ranked == sorted(named, key=lambda one: -one["share"])


def test_the_stages_get_batches_of_their_size(colours: ServableEnsemble):
    handler = innermost(colours._loaded[0][1])
    handler.sizes.clear()
    ask(colours, image_request(*[picture(seed=seed) for seed in range(5)]))
    assert handler.sizes == [2, 2, 1]


def test_a_stage_gets_what_it_gets_in_a_pipeline(tmp_path: Path):
    """Its arguments and its environment: else the server would predict something else."""
    ensemble = loaded(scale_bundle(tmp_path / "scale"))
    [record] = ensemble.predict([Record("k", {"x": 7.0})])
    assert record.values["scaled"] == 7000.5


def test_only_the_wanted_outputs_are_given(colours: ServableEnsemble):
    inputs = [FakeTensor(**image_request(picture())["inputs"][0])]
    outputs = colours.answer(inputs, ["rank"], LIMITS)
    assert [output["name"] for output in outputs] == ["rank"]


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("%%%", "row 1: read: not base64"),
        ("größe", "row 1: read: not base64"),
        ("aGVsbG8", "row 1: read: not base64"),  # not padded
        (base64.b64encode(picture()).decode() + "\n", "row 1: read: not base64"),
        ("", "row 1: read: the file is empty"),
        (b"hello", "row 1: read: not a JPEG, PNG, WebP or GIF file"),
        (picture()[:60], "row 1: read: damaged"),
        (None, "row 1: name: the record has no image"),
    ],
)
def test_an_image_that_cannot_be_read_is_named(
    colours: ServableEnsemble, image: bytes | str | None, words: str
):
    status, message = refusal(colours, image_request(picture(), image, picture()))
    assert status == 422
    assert message.startswith(f"1 of 3 rows cannot be predicted: {words}")


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"name": "photo"}, 400, "unknown input 'photo'; the model takes image"),
        ({"datatype": "FP32", "data": [1.0]}, 400, "datatype 'FP32', expected BYTES"),
        ({"data": [7]}, 400, "row 0 of input 'image' is 7, expected a string"),
        ({"data": [[1, 2]]}, 400, "row 0 of input 'image' is [1, 2], expected a string"),
        ({"shape": [2**62]}, 413, "at most 100 are taken"),
        ({"shape": [2]}, 400, "has 1 values for shape [2]"),
        ({"shape": [1, 3, 224, 224]}, 400, "expected [n] or [n, 1]"),
        ({"shape": [101], "data": [""] * 101}, 413, "101 rows in one request"),
    ],
)
def test_misfits_are_refused(
    colours: ServableEnsemble, changes: dict[str, Any], status: int, words: str
):
    found, message = refusal(colours, image_request(picture()), **changes)
    assert (found, words in message) == (status, True), message


def test_many_pixels_together_are_too_many(
    colours: ServableEnsemble, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(ensemble_tensors, "_MAX_REQUEST_PIXELS", 1200)
    assert len(ask(colours, image_request(picture(), picture()))["rank"]) == 2
    status, message = refusal(colours, image_request(picture(), picture(), picture(1, 1)))
    assert (status, "more than 1200 pixels together" in message) == (413, True)


def test_a_row_that_a_stage_refuses_is_named_with_the_stage(tmp_path: Path):
    ensemble = loaded(colour_bundle(tmp_path / "picky", wrong="picky"))
    status, message = refusal(ensemble, image_request(picture(), picture(200), picture()))
    assert (status, message) == (
        422, "1 of 3 rows cannot be predicted: row 1: rank: ValueError: too wide",
    )  # fmt: skip


@pytest.mark.parametrize("image", [picture(), picture()[:-30]], ids=["good", "damaged"])
def test_nobody_waits_for_what_comes_too_late(colours: ServableEnsemble, image: bytes):
    late = Limits(100, time.monotonic() - 1)
    status, message = refusal(colours, image_request(image), limits=late)
    assert (status, message) == (504, "no prediction in time; send fewer rows")


def test_stages_that_take_too_long_are_left(colours: ServableEnsemble):
    record = Record("row 0", {"image": decode(picture())})
    assert colours.predict([record])[0].failure is None
    with pytest.raises(RequestError, match="no prediction in time"):
        colours.predict([record], time.monotonic() - 1)


def words_request(times: Any, datatype: str) -> dict[str, Any]:
    return {
        "inputs": [
            {"name": "text", "shape": [2, 1], "datatype": "BYTES", "data": [["ä\n"], [""]]},
            {"name": "times", "shape": [2], "datatype": datatype, "data": times},
        ]
    }


def test_words_and_numbers_go_in_and_arrays_come_out(tmp_path: Path):
    ensemble = loaded(words_bundle(tmp_path / "words"))
    assert ask(ensemble, words_request([2, 3], "INT32"))["repeat"] == [
        {"text": text, "rows": [[0, 1], [1, 0]], "score": None, "1": times}
        for text, times in (("ä\nä\n", 2), ("", 3))
    ]
    status, message = refusal(ensemble, words_request([2, 2.5], "FP64"))
    assert status == 422 and "row 0: repeat: TypeError" in message
    assert refusal(ensemble, words_request([2, float("inf")], "FP64"))[0] == 400
    assert refusal(ensemble, words_request([True, False], "BOOL"))[0] == 400
    assert refusal(ensemble, words_request([2, None], "INT64")) == (
        422, "1 of 2 rows cannot be predicted: row 1: repeat: the record has no times",
    )  # fmt: skip


def test_what_json_has_no_form_for_is_our_failure(tmp_path: Path):
    ensemble = loaded(colour_bundle(tmp_path / "object", wrong="object"))
    with pytest.raises(BeamfleetError, match="stage 'rank' gave something that JSON has no form"):
        ask(ensemble, image_request(picture()))


def test_a_stage_that_cannot_load_is_named(tmp_path: Path):
    uri = colour_bundle(tmp_path / "load", wrong="load")
    with pytest.raises(BeamfleetError, match=r"stage 'rank' of .*no such tokenizer"):
        loaded(uri)


def test_no_stage_takes_the_name_of_the_output_of_versions(tmp_path: Path):
    uri = colour_bundle(tmp_path / "versions", first="versions")
    with pytest.raises(BeamfleetError, match="no stage can be served under the name 'versions'"):
        ServableEnsemble(uri)


def test_the_kind_is_found_out(colours: ServableEnsemble, tmp_path: Path):
    assert opener(colours.uri) is ServableEnsemble
    assert opener(census_store(tmp_path)).__name__ == "ServableEntityModels"


def test_the_pointer_is_followed_and_the_old_version_freed(tmp_path: Path):
    versions = PushedVersions(str(tmp_path / "pushed"))
    versions.push(colour_bundle(tmp_path / "a"), "a", 0, keep=5)
    models = ServedModels(versions.directory, 0)
    models.served.servable.load()
    old = weakref.ref(models.served.servable._loaded[0][1])
    mauve = colour_bundle(tmp_path / "b", {**COLOURS, "blue": [10, 0, 255]})
    versions.push(mauve, "b", 1, keep=5)
    assert models.refresh() is True
    assert (models.served.version, models.refresh()) == ("2", False)
    [record] = models.served.servable.predict([Record("", {"image": decode(picture())})])
    assert len(record.values["rank"]) == 3
    gc.collect()
    assert old() is None


def test_two_of_them_share_the_requests_and_none_is_a_shadow(tmp_path: Path):
    mauve = colour_bundle(tmp_path / "b", {**COLOURS, "blue": [10, 0, 255]})
    models = served_pair(str(tmp_path / "pushed"), [colour_bundle(tmp_path / "a"), mauve])
    found = answers(models, image_request(picture()), [str(n) for n in range(20)])
    assert {(a.model_version, a.parameters["label"]) for a in found.values()} == {
        ("1", "champion"), ("2", "challenger")
    }  # fmt: skip
    current = tmp_path / "pushed" / "CURRENT"
    content = json.loads(current.read_text())
    content["traffic"] |= {"shadow": True, "shares": {"champion": 1, "challenger": 0}}
    current.write_text(json.dumps(content))
    assert models.refresh() is False
    assert "is an ensemble, which cannot be a shadow" in models.failure
    assert models.routes.challenger is None


@pytest.mark.parametrize("damage", ["palette", "load"])
def test_a_version_that_cannot_be_loaded_leaves_the_old_one(tmp_path: Path, damage: str):
    versions = PushedVersions(str(tmp_path / "pushed"))
    versions.push(colour_bundle(tmp_path / "a"), "a", 0, keep=5)
    models = ServedModels(versions.directory, 0)
    models.served.servable.load()
    wrong = "load" if damage == "load" else "picky"
    pushed = versions.push(colour_bundle(tmp_path / "b", wrong=wrong), "b", 1, keep=5)
    if damage == "palette":
        Path(pushed.path, "models/namer/palette.json").write_text("{}")
    assert models.refresh() is False
    assert models.served.version == "1"
    assert ("SHA-256" if damage == "palette" else "no such tokenizer") in models.failure
    [record] = models.served.servable.predict([Record("", {"image": decode(picture())})])
    assert len(record.values["rank"]) == 3
