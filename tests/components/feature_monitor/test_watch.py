"""Only what broke alarms; only what is worse, and can be, is rolled back."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from components.entity_models.store import EntityModels
from components.errors import BeamfleetError
from components.feature_monitor.config import WatchConfig
from components.feature_monitor.decisions import decisions_file, read_decisions, record
from components.feature_monitor.look import Look, Watched, act, look
from components.pusher.entity_rollback import rollback_entities
from components.pusher.versions import PushedVersions
from tests.components.feature_monitor.payments import (
    CATEGORIES,
    DAY,
    push,
    serve,
    training,
    watched,
)
from tests.components.served_log.services import FRAUD

CONFIG = WatchConfig()


def later(days: float = 30) -> datetime:
    return datetime.now(UTC) + days * DAY


def said(found: Look) -> dict[str, str]:
    return {one.entity: one.verdict for one in found.verdicts}


def models(root: Path) -> dict[str, Any]:
    current = PushedVersions(str(root / "pushed")).current()
    assert current is not None
    store = EntityModels(current.path)
    return {name: store.model(name)[0].value for name in CATEGORIES}  # type: ignore[attr-defined]


def done(watch: Watched, found: Look) -> dict[str, str]:
    lines = act(watch, found, rollback=True)
    record(watch.root, FRAUD.name, lines)
    return {line["entity"]: line["action"] for line in lines if line["kind"] == "entity"}


@pytest.mark.parametrize("seed", range(4))
def test_nothing_broke_and_nothing_alarms(tmp_path: Path, seed: int) -> None:
    push(tmp_path, 1.0)
    labels = serve(tmp_path, seed)
    found = look(watched(tmp_path, labels, training(seed)), CONFIG, later())
    assert said(found) == dict.fromkeys(CATEGORIES, "fine")
    assert found.labels is not None
    assert found.labels["matched"] == found.rows == 4000
    assert found.reference_rows == 4000
    for one in found.verdicts:
        accuracy, auc = one.metrics
        assert (accuracy.metric, auc.metric) == ("accuracy", "auc")
        assert accuracy.live.low < accuracy.live.value < accuracy.live.high
        assert {d.column for d in one.drift} == {"amount", "category", "mean_4h", "count_4h"}


@pytest.mark.parametrize("seed", range(4))
def test_only_the_entity_that_got_worse_is_rolled_back(tmp_path: Path, seed: int) -> None:
    push(tmp_path, 1.0)
    push(tmp_path, 2.0)
    labels = serve(tmp_path, seed, accuracy={"fuel": 0.75}, version=2)
    watch = watched(tmp_path, labels, training(seed))
    found = look(watch, CONFIG, later())
    assert said(found) == {**dict.fromkeys(CATEGORIES, "fine"), "fuel": "worse"}
    assert found.verdicts[0].entity == "fuel"
    assert "0.9 of 2000 when evaluated: more than 0.02 lower" in found.verdicts[0].why
    actions = done(watch, found)
    assert actions.pop("fuel") == "rolled back to its model of version 1, in version 3"
    assert set(actions.values()) == {"none"}
    assert models(tmp_path) == {**dict.fromkeys(CATEGORIES, 2.0), "fuel": 1.0}
    [line] = [d for d in read_decisions(tmp_path, "fraud") if d.get("entity") == "fuel"]
    assert line["why"] == found.verdicts[0].why
    assert (line["model_version"], line["verdict"]) == (2, "worse")
    assert line["metrics"][0]["live"]["rows"] > 900
    history = Path(tmp_path, "pushed", "history.jsonl").read_text()
    assert "watch: accuracy" in history


def test_drift_of_one_entity_alarms_and_rolls_nothing_back(tmp_path: Path) -> None:
    push(tmp_path, 1.0)
    push(tmp_path, 2.0)
    labels = serve(tmp_path, 5, scale={"travel": 4.0}, version=2)
    watch = watched(tmp_path, labels, training(5))
    found = look(watch, CONFIG, later())
    assert said(found) == {**dict.fromkeys(CATEGORIES, "fine"), "travel": "drifted"}
    assert "amount moved: Jensen-Shannon" in found.verdicts[0].why
    assert [d.column for d in found.verdicts[0].drift if d.drifted] == ["amount"]
    assert done(watch, found)["travel"] == "alarm"
    assert models(tmp_path) == dict.fromkeys(CATEGORIES, 2.0)


def test_drift_needs_no_labels_and_accuracy_no_training_rows(tmp_path: Path) -> None:
    push(tmp_path, 1.0)
    labels = serve(tmp_path, 5, scale={"travel": 4.0}, accuracy={"fuel": 0.6})
    found = look(watched(tmp_path, None, training(5)), CONFIG, later())
    assert said(found) == {**dict.fromkeys(CATEGORIES, "fine"), "travel": "drifted"}
    assert found.not_looked_at == ("accuracy: the service has no labels",)
    found = look(watched(tmp_path, labels, None), CONFIG, later())
    assert said(found) == {**dict.fromkeys(CATEGORIES, "fine"), "fuel": "worse"}
    assert found.not_looked_at == ("drift: no training rows were given",)


def test_few_rows_never_alarm_however_wrong(tmp_path: Path) -> None:
    push(tmp_path, 1.0)
    labels = serve(tmp_path, 5, rows=300, accuracy={"fuel": 0.0}, scale={"fuel": 50.0})
    found = look(watched(tmp_path, labels, training(5)), CONFIG, later())
    assert set(said(found).values()) == {"too few rows"}
    assert "fewer than 100" in found.verdicts[0].why
    found = look(watched(tmp_path, labels, training(5)), replace(CONFIG, min_rows=30), later())
    assert said(found)["fuel"] == "worse"


def test_a_minimum_is_kept_whatever_the_evaluation_said(tmp_path: Path) -> None:
    push(tmp_path, 1.0, accuracy=None, auc=None)
    labels = serve(tmp_path, 5, accuracy={"fuel": 0.7})
    watch = watched(tmp_path, labels, None)
    found = look(watch, CONFIG, later())
    assert set(said(found).values()) == {"fine"}
    assert "the evaluation has none" in found.verdicts[0].why
    found = look(watch, replace(CONFIG, minimum={"accuracy": 0.85}), later())
    assert said(found)["fuel"] == "worse"
    assert "is below 0.85" in found.verdicts[0].why


def test_a_look_without_new_data_says_so_and_does_nothing_again(tmp_path: Path) -> None:
    push(tmp_path, 1.0)
    labels = serve(tmp_path, 5, accuracy={"fuel": 0.6})
    watch = watched(tmp_path, labels, None)
    done(watch, look(watch, CONFIG, later(30)))
    again = look(watch, CONFIG, later(31))
    assert not again.is_new
    assert again.last is not None
    assert not again.bad
    assert "no new labels since the last look" in again.verdicts[0].why
    more = serve(tmp_path, 6, accuracy={"fuel": 0.6}, start=later(31))
    watch = watched(tmp_path, pl.concat([labels, more]), None)
    found = look(watch, CONFIG, later(60))
    assert found.is_new
    assert found.new_labelled == 4000
    assert said(found)["fuel"] == "worse"


def test_labels_that_may_still_come_are_waited_for(tmp_path: Path) -> None:
    push(tmp_path, 1.0)
    labels = serve(tmp_path, 5, accuracy={"fuel": 0.6}, days=10)
    watch = replace(watched(tmp_path, labels, None), wait=5 * DAY)
    found = look(watch, CONFIG, later(4))
    assert found.labels is not None
    assert (found.labels["matched"], found.labels["waiting"]) == (0, found.rows)
    done(watch, found)
    found = look(watch, CONFIG, later(10))
    assert found.labels is not None
    assert found.labels["waiting"] > 0
    assert found.new_labelled == found.labels["matched"] > 0
    assert said(found)["fuel"] == "worse"


def test_an_entity_is_rolled_back_by_itself_once(tmp_path: Path) -> None:
    for value in (1.0, 2.0, 3.0):
        push(tmp_path, value)
    labels = serve(tmp_path, 5, accuracy={"fuel": 0.6}, version=3)
    watch = watched(tmp_path, labels, None)
    assert "in version 4" in done(watch, look(watch, CONFIG, later()))["fuel"]
    more = serve(tmp_path, 6, accuracy={"fuel": 0.6}, version=4)
    watch = watched(tmp_path, pl.concat([labels, more]), None)
    found = look(watch, CONFIG, later())
    assert found.other_versions == {"3": 4000}
    assert done(watch, found)["fuel"].endswith("has the model of version 2 by a rollback already")
    assert models(tmp_path)["fuel"] == 2.0


def test_what_cannot_be_rolled_back_alarms_and_says_why(tmp_path: Path) -> None:
    push(tmp_path, 1.0, ("books", "grocery", "travel"))
    labels = serve(tmp_path, 5, accuracy={"fuel": 0.6, "books": 0.6})
    watch = watched(tmp_path, labels, None)
    found = look(watch, CONFIG, later())
    assert said(found)["fuel"] == said(found)["books"] == "worse"
    assert any("the fallback answers" in text for text in found.not_looked_at)
    actions = done(watch, found)
    assert "served by the fallback" in actions["fuel"]
    assert "the rollback failed: entity 'books' has had no other model" in actions["books"]


def test_a_push_meanwhile_is_left_alone(tmp_path: Path) -> None:
    push(tmp_path, 1.0)
    push(tmp_path, 2.0)
    labels = serve(tmp_path, 5, accuracy={"fuel": 0.6, "books": 0.6}, version=2)
    watch = watched(tmp_path, labels, None)
    found = look(watch, CONFIG, later())
    push(tmp_path, 3.0)
    actions = done(watch, found)
    assert "version 3 is current" in actions["fuel"]
    assert models(tmp_path) == dict.fromkeys(CATEGORIES, 3.0)


def test_several_are_rolled_back_one_after_the_other(tmp_path: Path) -> None:
    push(tmp_path, 1.0)
    push(tmp_path, 2.0)
    labels = serve(tmp_path, 5, accuracy={"fuel": 0.6, "books": 0.6}, version=2)
    watch = watched(tmp_path, labels, None)
    actions = done(watch, look(watch, CONFIG, later()))
    assert actions["books"].endswith("in version 3")
    assert actions["fuel"].endswith("in version 4")
    assert models(tmp_path) == {"books": 1.0, "fuel": 1.0, "grocery": 2.0, "travel": 2.0}
    with pytest.raises(BeamfleetError):
        rollback_entities(str(tmp_path / "pushed"), ["fuel"])


def test_figures_over_time_are_those_of_the_rows(tmp_path: Path) -> None:
    push(tmp_path, 1.0)
    labels = serve(tmp_path, 5, days=5)
    found = look(watched(tmp_path, labels, None), CONFIG, later())
    windows = [line for line in found.over_time if line["entity"] == "fuel"]
    assert len(windows) in (5, 6)
    assert sum(line["rows"] for line in windows) == sum(line["labelled"] for line in windows)
    for line in windows:
        assert line["accuracy"]["low"] < line["accuracy"]["value"] < line["accuracy"]["high"]


def test_rows_that_were_not_logged_are_told(tmp_path: Path) -> None:
    push(tmp_path, 1.0)
    labels = serve(tmp_path, 5)
    from components.served_log.parts import LogFolder

    LogFolder(tmp_path / "served" / "fraud").lose("the queue was full", rows=12)
    found = look(watched(tmp_path, labels, None), CONFIG, later())
    assert found.losses == {"the queue was full": 12}


def test_a_decision_that_was_cut_off_is_none(tmp_path: Path) -> None:
    record(tmp_path, "fraud", [{"kind": "look", "time": later().isoformat()}])
    with decisions_file(tmp_path, "fraud").open("a") as file:
        file.write('{"kind": "lo')
    record(tmp_path, "fraud", [{"kind": "look", "at": timedelta(1)}])
    assert [sorted(line) for line in read_decisions(tmp_path, "fraud")] == [
        ["kind", "time"],
        ["at", "kind"],
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_rows": 0},
        {"confidence": 1.0},
        {"max_drop": -1},
        {"max_drift": 2},
        {"minimum": {"f1": 1}},
    ],
)
def test_a_config_that_cannot_be_meant_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(BeamfleetError):
        WatchConfig(**wrong)
