"""`beamfleet run taxi`: the shipped trips, from CSV to predictions."""

import json
import math
from pathlib import Path
from typing import Any

import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from tests.components.caption_report.browser import PROGRAM, Browser
from tests.e2e.beamfleet import ROOT, beamfleet, run

pytestmark = pytest.mark.e2e
TRIPS = ROOT / "data" / "taxi" / "span-3" / "data.csv"


@pytest.fixture(scope="module")
def taxi(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    root = tmp_path_factory.mktemp("taxi")
    return root, run("taxi", "--root", root)


def test_the_model_is_good_and_pushed(taxi: tuple[Path, dict[str, Any]]) -> None:
    _, summary = taxi
    examples, evaluation = summary["examples"], summary["evaluation"]
    assert (examples["rows_in"], examples["rows_rejected"]) == (8000, 0)  # a window of two spans
    assert evaluation["rows_evaluated"] == examples["rows_eval"]
    assert evaluation["blessed"] and summary["infra"]["blessed"] and summary["push"]["pushed"]
    # What can be known of these trips at all is an AUC of about 0.97.
    assert evaluation["overall"]["candidate"]["auc"] > 0.95
    assert evaluation["overall"]["candidate"]["accuracy"] > 0.87


def test_the_odd_span_is_told(taxi: tuple[Path, dict[str, Any]]) -> None:
    """Fares have risen by half, and there is a new way to pay; nothing else has changed."""
    _, summary = taxi
    found = summary["validation"]["found"]
    assert summary["validation"]["anomalies"] == len(found) == 4
    assert sum("column 'fare'" in line for line in found) == 2
    assert sum("column 'payment_type'" in line and "Mobile" in line for line in found) == 2


def test_the_best_of_the_trials_is_trained(taxi: tuple[Path, dict[str, Any]]) -> None:
    root, summary = taxi
    tuning = summary["tuning"]
    assert tuning["trials"] == 4 and tuning["best"]["units"] in (16, 32, 64)
    [results] = root.glob("artifacts/Tuner/tuner_results/*/tuner_results.json")
    scores = [trial["score"] for trial in json.loads(results.read_text())]
    assert tuning["score"] == min(scores) < max(scores)  # the loss: lower is better
    weights = tf.train.list_variables(str(root / "pushed" / "1" / "variables" / "variables"))
    units = tuning["best"]["units"]
    assert [units, units] in [shape for _, shape in weights]  # of the second layer


def test_slices_tell_what_was_put_into_the_trips(taxi: tuple[Path, dict[str, Any]]) -> None:
    _, summary = taxi
    rows = pq.read_table(Path(summary["paths"]["evaluation"], "slices.parquet")).to_pylist()
    slices = {row["slice"]: row for row in rows}
    hours = [row for name, row in slices.items() if name.startswith("trip_start_hour=")]
    assert sum(row["rows"] for row in hours) == slices["overall"]["rows"]
    assert "company=(missing)" in slices


@pytest.mark.skipif(not PROGRAM, reason="neither chromium nor chrome is on PATH")
def test_the_report_shows_curves_trials_slices_and_drift(taxi: tuple[Path, dict[str, Any]]) -> None:
    root, summary = taxi
    with Browser() as browser:
        browser.open(root / "reports" / f"{summary['run']}.html")
        drawn = "plots.filter(p => p.querySelector('.points path')).map(p => p.id)"
        found = browser.run(f"drawAll().then(() => {drawn})")
        assert {"plot-curve-0", "plot-trial-0", "plot-slices-0", "plot-slices-1"} <= set(found)
        assert "Mobile" in browser.run("document.getElementById('data').innerText")
        assert browser.complaints() == [] and len(browser.requests()) == 1


def test_every_row_is_predicted_once(taxi: tuple[Path, dict[str, Any]]) -> None:
    _, summary = taxi
    inference = summary["inference"]
    assert (inference["rows_in"], inference["rows"], inference["rows_failed"]) == (600, 600, 0)
    table = pq.read_table(Path(summary["paths"]["predictions"], "predictions"))
    assert set(table.column("model_version").to_pylist()) == {1}
    shares = [row[1] for row in table.column("probabilities").to_pylist()]
    assert 0.1 < sum(shares) / len(shares) < 0.4
    assert all(math.isfinite(share) for share in shares)


def test_the_pushed_model_takes_raw_rows_and_no_tips(taxi: tuple[Path, dict[str, Any]]) -> None:
    root, summary = taxi
    spec = json.loads((root / "pushed" / "1" / "beamfleet.json").read_text())["spec"]
    columns = [name for name, _ in spec["features"]]
    assert "tips" not in columns and {"fare", "payment_type", "trip_start_hour"} <= set(columns)
    rows = root / "rows.csv"
    pa_csv.write_csv(pa_csv.read_csv(TRIPS).slice(0, 20), rows)
    found = json.loads(beamfleet("predict", root, rows, "--json"))
    assert len(found) == 20 and all(row["error"] is None for row in found)
    cash = [t == "Cash" for t in pa_csv.read_csv(rows).column("payment_type").to_pylist()]
    assert all(
        row["probabilities"][1] < 0.2 for row, is_cash in zip(found, cash, strict=False) if is_cash
    )
    assert summary["push"]["version"] == 1


def test_nothing_is_done_twice(taxi: tuple[Path, dict[str, Any]]) -> None:
    root, _ = taxi
    again = run("taxi", "--root", root, "--orchestrator", "local")
    # With a version in service the model is judged against it; the same model is not pushed again.
    assert set(again["cached"]) >= {"ExampleGen", "StatisticsGen", "Transform", "Trainer"}
    assert again["push"]["version"] == 1
