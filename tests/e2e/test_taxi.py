"""`beamfleet run taxi`: the shipped trips, from CSV to predictions."""

import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from tests.components.caption_report.browser import PROGRAM, Browser
from tests.e2e.beamfleet import ROOT, beamfleet, run

pytestmark = pytest.mark.e2e
TRIPS = ROOT / "data" / "taxi" / "span-3" / "data.csv"


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


@pytest.fixture(scope="module")
def predicted(taxi: tuple[Path, dict[str, Any]]) -> tuple[pa.Table, list[dict[str, Any]]]:
    """Rows, and what `beamfleet predict` says of them."""
    root, _ = taxi
    rows = pa_csv.read_csv(TRIPS).slice(0, 20)
    pa_csv.write_csv(rows, root / "rows.csv")
    return rows, json.loads(beamfleet("predict", root, root / "rows.csv", "--json"))


def test_the_pushed_model_takes_raw_rows_and_no_tips(
    taxi: tuple[Path, dict[str, Any]], predicted: tuple[pa.Table, list[dict[str, Any]]]
) -> None:
    root, summary = taxi
    spec = json.loads((root / "pushed" / "1" / "beamfleet.json").read_text())["spec"]
    columns = [name for name, _ in spec["features"]]
    assert "tips" not in columns and {"fare", "payment_type", "trip_start_hour"} <= set(columns)
    rows, found = predicted
    assert len(found) == 20 and all(row["error"] is None for row in found)
    cash = [t == "Cash" for t in rows.column("payment_type").to_pylist()]
    assert all(
        row["probabilities"][1] < 0.2 for row, is_cash in zip(found, cash, strict=False) if is_cash
    )
    assert summary["push"]["version"] == 1


def test_tensorflow_serving_would_answer_as_we_do(
    taxi: tuple[Path, dict[str, Any]], predicted: tuple[pa.Table, list[dict[str, Any]]]
) -> None:
    """The binary itself is not run: its configuration, and both signatures as it calls them."""
    root, _ = taxi
    text = (root / "pushed" / "models.config").read_text()
    config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    [model] = config.model_config_list.config
    [version] = model.model_version_policy.specific.versions
    loaded = tf.saved_model.load(f"{model.base_path}/{version}")
    assert set(loaded.signatures) == {"serving_default", "transform_features"}
    rows, ours = predicted
    examples = tf.constant([serialized(row) for row in rows.to_pylist()])
    [theirs] = loaded.signatures["serving_default"](examples).values()
    assert theirs.numpy()[:, 0] == pytest.approx([row["probabilities"][1] for row in ours])
    transformed = loaded.signatures["transform_features"](examples)
    assert {"fare", "company", "pickup_latitude"} <= set(transformed)
    assert transformed["fare"].shape[0] == len(ours) and "tips" not in transformed


def serialized(row: dict[str, Any]) -> bytes:
    """A tf.Example as any client makes it."""
    example = tf.train.Example()
    for name, value in row.items():
        feature = example.features.feature[name]
        if isinstance(value, str) and value:
            feature.bytes_list.value.append(value.encode())
        elif isinstance(value, int):
            feature.int64_list.value.append(value)
        elif isinstance(value, float):
            feature.float_list.value.append(value)
    return example.SerializeToString()


def test_figures_come_with_their_intervals(taxi: tuple[Path, dict[str, Any]]) -> None:
    _, summary = taxi
    evaluation = summary["evaluation"]
    assert evaluation["compared_with"] == "nothing: no model is pushed or blessed yet"
    low, high = evaluation["intervals"]["auc"]
    assert 0.9 < low < evaluation["overall"]["candidate"]["auc"] < high < 1
    rows = pq.read_table(Path(summary["paths"]["evaluation"], "slices.parquet")).to_pylist()
    widths = [row["accuracy_high"] - row["accuracy_low"] for row in rows]
    assert all(width > 1.5 * widths[0] for width in widths[1:]), "slices have fewer rows"


def test_nothing_is_done_twice(taxi: tuple[Path, dict[str, Any]]) -> None:
    root, _ = taxi
    again = run("taxi", "--root", root, "--orchestrator", "local")
    # Neither judged against itself nor pushed again, though it is the pushed version by now.
    assert set(again["cached"]) >= {
        "ExampleGen",
        "StatisticsGen",
        "Transform",
        "Trainer",
        "Evaluator",
    }
    assert again["push"]["version"] == 1
