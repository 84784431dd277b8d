"""Each ensemble is served by a real server in a fresh process."""

from pathlib import Path

import pyarrow as pa
import pytest

from components.errors import BeamfleetError
from components.examples.read import flatten_columns
from components.infra_validator.hostile_images import hostile_images
from components.infra_validator.malformed import malformed_requests
from components.infra_validator.probe import probe
from components.infra_validator.report import ENSEMBLE_GATES, Gates, default_gates
from tests.components.infra_validator.test_probe import servers
from tests.components.model_server.ensembles import (
    colour_bundle,
    image_examples,
    image_request,
    picture,
    words_bundle,
)
from tests.components.model_server.stores import census_store

WIDE = 120


def batches(count: int = 8, widest: int = 30) -> list[pa.RecordBatch]:
    return [flatten_columns(b) for b in image_examples(count, widest).to_batches()]


def test_a_good_ensemble_is_blessed_with_figures(tmp_path: Path):
    uri = colour_bundle(tmp_path / "good", wrong="picky")
    report = probe(uri, batches(8, WIDE), default_gates(uri))
    assert report.blessed, report.reasons
    asked = report.requests
    assert (asked["sent"], asked["answered"], asked["examples"]) == (8, 7, 8)
    assert (asked["failed"], asked["differing"], asked["refused"]) == (0, 0, 1)
    assert 0 < asked["p50_ms"] <= asked["p99_ms"]
    assert report.startup["import_s"] > report.startup["startup_s"] > 0
    assert report.memory["rss_mb"] > 50
    good = image_request(picture())
    cases = [*malformed_requests(good, 1), *hostile_images(good)]
    assert set(report.malformed) == {malformed.case for malformed in cases}
    assert all(400 <= status < 500 for status in report.malformed.values())
    assert servers() == []


def test_a_skew_is_found(tmp_path: Path):
    report = probe(colour_bundle(tmp_path / "skewed", wrong="skewed"), batches(3, WIDE), Gates())
    [reason] = [r for r in report.reasons if "answers differ" in r]
    assert "1 of 3 answers differ" in reason
    assert "image '2.png': rank [[{'text': " in reason and ", outside the server [[" in reason
    assert report.requests["differing"] == 1


def test_a_server_that_dies_is_refused_with_its_last_words(tmp_path: Path):
    uri = colour_bundle(tmp_path / "dying", wrong="dying")
    report = probe(uri, batches(2, WIDE), ENSEMBLE_GATES)
    assert report.reasons[-1] == (
        "the server exited with status 3 when it was asked about image '1.png'"
    )
    assert "out of everything" in report.log_tail


def test_a_slow_ensemble_is_refused_and_words_are_served(tmp_path: Path):
    uri = words_bundle(tmp_path / "words")
    table = pa.table({"text": ["a", None, "b"], "times": [1, 2, 3]})
    report = probe(uri, table.to_batches(), Gates(max_p99_ms=0.001))
    [reason] = report.reasons
    assert reason.startswith("p99 of 1 requests is ")
    assert (report.requests["sent"], report.requests["answered"]) == (1, 1)
    assert report.malformed["wrong datatype"] == 400
    assert "empty image" not in report.malformed


def test_what_cannot_be_loaded_is_refused_without_a_server(tmp_path: Path):
    report = probe(colour_bundle(tmp_path / "load", wrong="load"), batches(), ENSEMBLE_GATES)
    assert "no such tokenizer" in report.reasons[0] and report.startup == {}
    damaged = colour_bundle(tmp_path / "damaged")
    Path(damaged, "models/namer/palette.json").write_text("{}")
    report = probe(damaged, batches(), ENSEMBLE_GATES)
    assert "SHA-256" in report.reasons[0] and report.startup == {}


def test_examples_without_images_are_an_error(tmp_path: Path):
    uri = colour_bundle(tmp_path / "good")
    with pytest.raises(BeamfleetError, match="lack image"):
        probe(uri, pa.table({"photo": [b""]}).to_batches(), ENSEMBLE_GATES)
    nulls = pa.table({"image": pa.nulls(3, pa.binary())})
    for rows in ([], nulls.to_batches()):
        with pytest.raises(BeamfleetError, match="no rows with image"):
            probe(uri, rows, ENSEMBLE_GATES)


def test_the_gates_of_an_ensemble_are_others(tmp_path: Path):
    assert default_gates(colour_bundle(tmp_path / "good")) == ENSEMBLE_GATES
    assert default_gates(census_store(tmp_path / "census")) == Gates()
    assert default_gates(str(tmp_path / "nothing")) == Gates()
