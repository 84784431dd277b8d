"""`beamfleet run payments`: events, features, models, stream and online predictions."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.e2e.beamfleet import ROOT, beamfleet, run

pytestmark = pytest.mark.e2e
DATA = ROOT / "data" / "payments"
Ran = tuple[Path, dict[str, Any]]


@pytest.fixture(scope="module")
def payments(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Root and summary of a run by TFX's other orchestrator."""
    root = tmp_path_factory.mktemp("payments")
    return root, run("payments", "--root", root, "--orchestrator", "local")


def rows(name: str) -> int:
    return sum(pl.read_parquet(file).height for file in (DATA / name).iterdir())


def test_every_event_and_label_is_accounted_for(payments: Ran) -> None:
    _, summary = payments
    features, examples = summary["features"], summary["examples"]
    names = ("rejected", "filtered", "later", "duplicates", "events")
    assert features["rows_in"] == sum(features[name] for name in names)
    # card_spend, user_day, card_sitting and one half of user_attempts read transactions.
    assert features["rows_in"] == 4 * rows("txns") + 2 * rows("payments") + rows("checkouts")
    splits = examples["rows_train"] + examples["rows_eval"] + examples["rows_gap"]
    assert examples["rows_in"] == splits + examples["rows_rejected"]
    assert 0 < rows("labels") - examples["rows_in"] < 3000  # not judged by 22 May


def test_categories_have_models_of_their_own_and_one_is_small(payments: Ran) -> None:
    _, summary = payments
    verdicts = {entity["entity"]: entity["verdict"] for entity in summary["entities"]}
    assert len(verdicts) == 6 and list(verdicts.values()).count("blessed") >= 4
    assert verdicts["jewellery"] != "blessed"
    assert summary["evaluation"]["overall"]["composed"]["auc"] > 0.9
    assert summary["infra"]["blessed"] and summary["push"]["version"] == 1


def test_the_stream_says_what_a_backfill_says(payments: Ran) -> None:
    _, summary = payments
    stream = summary["stream"]
    names = ("events", "late", "duplicates", "rejected", "filtered")
    assert stream["rows"] == sum(stream[name] for name in names) > 6000
    assert all(stream[name] for name in names)
    assert stream["points"] > 9000 and stream["apart"] == 0 < stream["apart_by_late"]


def test_new_transactions_are_predicted_with_the_vectors_of_their_time(payments: Ran) -> None:
    root, summary = payments
    online = summary["online"]
    assert online["rows"] == online["rows_in"] == rows("newest") and online["rows_failed"] == 0
    said = pl.read_parquet(Path(online["path"], "predictions.parquet"))
    assert said["probability"].is_between(0, 1).all() and said["prediction"].n_unique() == 2
    assert said["probability"].to_list() == pytest.approx(offline(root, said).to_list())


def offline(root: Path, asked: pl.DataFrame) -> pl.Series:
    """Probabilities of the pushed models, with features joined from the history."""
    from components.entity_models.open import open_models
    from components.entity_models.predict import predict
    from components.feature_backfill.logs import read_log
    from components.feature_example_gen.make import as_table
    from components.feature_store.rows import with_features
    from components.feature_store.split_files import read_fitted
    from components.feature_store.transformations import apply
    from components.pusher.versions import PushedVersions
    from user_code.payments import fraud

    store = root / "features"
    labels = asked.select("card_id", "user_id", "amount", "category", event_time="ts")
    joined = with_features(
        fraud,
        labels,
        lambda view, _: read_log(view, store),
        as_known=False,  # type: ignore[arg-type]
    )
    frame = apply(fraud, joined, read_fitted(store, fraud, 1)).with_columns(is_fraud=pl.lit(0))
    versions = PushedVersions(str(root / "pushed"))
    current = versions.current()
    assert current is not None
    result = predict(open_models(f"{versions.directory}/{current.number}"), as_table(fraud, frame))
    return pl.Series([row[-1] for row in result.column("probabilities").to_pylist()])


def test_the_lineage_reaches_the_features(payments: Ran) -> None:
    root, _ = payments
    text = beamfleet("lineage", root / "pushed" / "1", "--up")
    assert "user_code.payments.fraud" in text and "fraud v1 (card_spend v1" in text
    shown = beamfleet("features", "show", "card_spend", "--store", root)
    assert f"{root}/pushed/1" in shown
    [report] = root.glob("reports/*.html")
    assert "could not be drawn" not in report.read_text()


def test_the_second_run_is_cached_on_the_other_orchestrator(payments: Ran) -> None:
    root, first = payments
    again = run("payments", "--root", root, "--orchestrator", "beam")
    assert len(again["cached"]) == 11 and again["seconds"] < 5
    assert again["stream"] == first["stream"] and again["online"] == first["online"]
    shown = json.loads(beamfleet("show", again["run"], "--root", root, "--json"))
    assert {node["state"] for node in shown["nodes"]} == {"cached"}
