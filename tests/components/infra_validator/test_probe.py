"""Each store is served by a real server in a fresh process."""

import json
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pytest

from components.errors import BeamfleetError
from components.infra_validator.malformed import malformed_requests
from components.infra_validator.probe import probe
from components.infra_validator.report import Gates, Report
from components.model_server.entity_tensors import to_request
from tests.components.infra_validator import serving_models
from tests.components.model_server.stores import (
    ENTITIES,
    SPEC,
    census_store,
    rows,
    tamper,
    write_store,
)


def batches(count: int = 300) -> list[pa.RecordBatch]:
    return rows(count).to_batches()


def servers() -> list[int]:
    """Ours that run; what another test of this process left unread is none."""
    children = psutil.Process().children(recursive=True)
    running = [child for child in children if child.status() != psutil.STATUS_ZOMBIE]
    return [child.pid for child in running if "components.model_server" in child.cmdline()]


def test_a_good_model_is_blessed_with_figures(tmp_path: Path):
    report = probe(census_store(tmp_path), batches(), Gates())
    assert report.blessed, report.reasons
    asked = report.requests
    assert (asked["sent"], asked["answered"], asked["unseen"]) == (200, 200, 20)
    assert asked["entities"] == len(ENTITIES) + 20
    assert (asked["failed"], asked["differing"], asked["refused"]) == (0, 0, 0)
    assert 0 < asked["p50_ms"] <= asked["p99_ms"] < 200
    start = report.startup
    assert start["attempts"] == 1
    assert start["startup_s"] == pytest.approx(start["load_s"] + start["ready_s"], abs=0.002)
    assert start["import_s"] > 0.5
    assert report.memory["rss_mb"] > 50
    request = to_request(rows(1), SPEC)
    assert set(report.malformed) == {malformed.case for malformed in malformed_requests(request, 1)}
    assert all(400 <= status < 500 for status in report.malformed.values())
    assert json.loads(report.to_json())["blessed"] is True
    assert servers() == []


def test_gates_refuse_in_words(tmp_path: Path):
    store = write_store(tmp_path, {"Masters": serving_models.Picky()}, serving_models.Slow())
    report = probe(store, batches(), Gates(max_p99_ms=50, max_rss_mb=20))
    assert [reason.split(",")[0] for reason in report.reasons] == [
        f"p99 of {report.requests['sent']} requests is {report.requests['p99_ms']:g} ms",
        f"{report.memory['rss_mb']:g} MB of resident memory",
    ]
    asked = report.requests
    assert asked["sent"] < 20  # it stopped once nothing could save the gate
    assert asked["refused"] > 0  # the rows that the picky model takes neither here nor there
    assert asked["sent"] == asked["answered"] + asked["refused"]
    assert report.log_tail


def test_a_server_that_dies_or_differs_is_refused_with_its_last_words(tmp_path: Path):
    models = {"Bachelors": serving_models.Skewed(), "Masters": serving_models.Crashing()}
    table = rows(300).sort_by("education")
    report = probe(write_store(tmp_path, models, None), table.to_batches(), Gates())
    differing, died = sorted(report.reasons, key=lambda reason: "exited" in reason)[-2:]
    assert any("entity 'Bachelors': prediction ['>50K'], outside" in r for r in report.reasons)
    assert died == "the server exited with status 3 when it was asked about entity 'Masters'"
    assert differing
    assert "out of everything" in report.log_tail
    assert report.startup["attempts"] == 1
    assert servers() == []


def test_a_damaged_store_is_refused_without_a_server(tmp_path: Path):
    store = census_store(tmp_path)
    tamper(store)
    report = probe(store, batches(), Gates())
    [reason] = report.reasons
    assert "SHA-256 differs from the index" in reason
    assert report.startup == {}


def test_no_store_is_refused(tmp_path: Path):
    report = probe(str(tmp_path), batches(), Gates())
    assert not report.blessed
    assert "manifest.json" in report.reasons[0]


def test_examples_without_rows_are_an_error(tmp_path: Path):
    with pytest.raises(BeamfleetError, match="no rows"):
        probe(census_store(tmp_path), [], Gates())


@pytest.mark.parametrize("limit", ["max_startup_s", "max_p99_ms", "max_rss_mb", "requests"])
def test_gates_refuse_nonsense(limit: str):
    changed: dict[str, Any] = {limit: 0}
    with pytest.raises(BeamfleetError, match=limit):
        Gates(**changed)


def test_a_report_without_reasons_is_a_blessing():
    assert Report(Gates()).blessed
    assert not Report(Gates(), reasons=["slow"]).blessed
