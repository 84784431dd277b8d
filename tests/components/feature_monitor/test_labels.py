"""Labels that come later, by id, or by keys and time; every prediction is counted once."""

from datetime import timedelta
from typing import Any

import polars as pl
import pytest

from components.errors import BeamfleetError
from components.feature_monitor.labels import LabelCounts, match_labels, read_labels
from components.features import FeatureService, JsonLines, Parquet, Source
from components.served_log.columns import as_frame, log_schema
from tests.components.served_log.services import FRAUD, START, card_spend, served_row

DAY = timedelta(days=1)
NOW = START + 10 * DAY
ANYHOW = FeatureService(
    "anyhow",
    features=[card_spend],
    labels=Source("frauds", batch=Parquet("x"), event_time="ts"),
    label="is_fraud",
)


def served(*numbers: int, service: FeatureService = FRAUD, **other: Any) -> pl.DataFrame:
    rows = [{**served_row(n), **other} for n in numbers]
    schema = log_schema(service)
    kept = [{name: row[name] for name in row if name in schema} for row in rows]
    return as_frame(kept, schema, service)


def label(number: int, value: Any, after: timedelta = DAY, **other: Any) -> dict[str, Any]:
    time = START + timedelta(seconds=number)
    row = {"txn_id": f"t{number}", "card_id": f"c{number % 7}", "ts": time, "seen": time + after}
    return {**row, "is_fraud": value, **other}


def matched(rows: pl.DataFrame, labels: list[dict[str, Any]], **other: Any) -> Any:
    given = {"now": NOW, "wait": timedelta(0), **other}
    service = given.pop("service", FRAUD)
    found = match_labels(rows, pl.DataFrame(labels), service, **given)
    pairs = dict(zip(found.rows["request_id"], found.rows["label"], strict=True))
    counts = found.counts
    parts = counts.matched + counts.waiting + counts.unmatched + counts.repeated
    assert parts == counts.predictions == rows.height
    assert len(pairs) == counts.matched
    return pairs, counts


def test_labels_find_their_prediction_by_id() -> None:
    labels = [label(1, 0), label(2, 1), label(9, 1), label(3, None)]
    pairs, counts = matched(served(1, 2, 3), labels)
    assert pairs == {"r1": "0", "r2": "1"}
    assert counts == LabelCounts(3, 2, 0, 1, 0, 3, 1, 1)


def test_the_label_that_arrived_last_counts_and_none_of_the_future() -> None:
    labels = [label(1, 1, 2 * DAY), label(1, 0, DAY), label(2, 1, 30 * DAY)]
    pairs, counts = matched(served(1, 2), labels)
    assert pairs == {"r1": "1"}
    assert counts.labels == 1
    assert counts.unmatched == 1


def test_the_young_wait_whether_their_label_came_or_not() -> None:
    labels = [label(1, 1), label(2, 1)]
    pairs, counts = matched(served(1, 2, 3), labels, wait=20 * DAY)
    assert pairs == {}
    assert (counts.waiting, counts.unmatched) == (3, 0)
    assert counts.labels_without_prediction == 0
    _, counts = matched(served(1, 2, 3), labels, wait=2 * DAY)
    assert (counts.matched, counts.waiting, counts.unmatched) == (2, 0, 1)


def test_a_request_that_was_sent_twice_counts_once() -> None:
    twice = pl.concat([served(1), served(1, request_id="again", prediction="yes"), served(2)])
    pairs, counts = matched(twice, [label(1, 1)])
    assert len(pairs) == 1
    assert (counts.matched, counts.repeated, counts.unmatched) == (1, 1, 1)


def test_without_a_request_column_of_that_name_the_request_id_is_the_id() -> None:
    service = FeatureService("bare", [card_spend], labels=FRAUD.labels, label="is_fraud")
    rows = served(1, 2, service=service)
    labels = [label(1, 1, txn_id="r1")]
    assert matched(rows, labels, service=service)[0] == {"r1": "1"}


def test_rows_of_one_request_are_several_predictions() -> None:
    service = FeatureService("bare", [card_spend], labels=FRAUD.labels, label="is_fraud")
    at = START + timedelta(seconds=2)
    rows = served(1, 2, 3, service=service, request_id="batch", time=at)
    again = served(1, 2, 3, service=service, request_id="batch", time=at + DAY)
    labels = [label(2, 1, txn_id="batch", card_id="c2"), label(3, 0, card_id="c3")]
    found = match_labels(
        pl.concat([rows, again]), pl.DataFrame(labels), service, now=NOW, wait=timedelta(0),
        within=timedelta(seconds=5),
    )  # fmt: skip
    assert found.rows.select("key.card_id", "label").sort("label").rows() == [
        ("c3", "0"),
        ("c2", "1"),
    ]
    assert (found.counts.unmatched, found.counts.repeated) == (1, 3)


def test_by_keys_and_time_the_nearest_is_taken_once() -> None:
    rows = served(7, 14, 70, service=ANYHOW)  # all of card c0
    second = timedelta(seconds=1)
    labels = [label(8, 1, card_id="c0"), label(72, 0, card_id="c0"), label(14, 1, card_id="c1")]
    pairs, counts = matched(rows, labels, service=ANYHOW, within=10 * second)
    assert pairs == {"r7": "1", "r70": "0"}
    assert counts.labels_without_prediction == 1
    pairs, _ = matched(rows, labels, service=ANYHOW, within=second)
    assert pairs == {"r7": "1"}
    assert matched(rows, labels, service=ANYHOW)[0] == {}  # not asked for


def test_what_has_no_id_may_still_be_found_by_keys_and_time() -> None:
    rows = served(1, 2)
    labels = [label(1, 1), label(2, 0, txn_id="other", card_id="c2")]
    pairs, _ = matched(rows, labels, within=timedelta(seconds=5))
    assert pairs == {"r1": "1", "r2": "0"}


def test_labels_are_text_as_predictions_are() -> None:
    assert matched(served(1), [label(1, True)])[0] == {"r1": "1"}
    assert matched(served(1), [label(1, "yes")])[0] == {"r1": "yes"}


def test_what_is_missing_is_named(tmp_path: Any) -> None:
    with pytest.raises(BeamfleetError, match="'frauds' of labels has no column is_fraud"):
        match_labels(
            served(1), pl.DataFrame([label(1, 0)]).drop("is_fraud"), FRAUD, now=NOW, wait=DAY
        )
    bare = FeatureService("bare", features=[card_spend])
    with pytest.raises(BeamfleetError, match="'bare' has no labels"):
        match_labels(served(1), pl.DataFrame(), bare, now=NOW, wait=DAY)
    with pytest.raises(BeamfleetError, match="source 'frauds'"):
        read_labels(FRAUD)


@pytest.mark.parametrize("kind", [Parquet, JsonLines])
def test_labels_are_read_from_all_files(tmp_path: Any, kind: Any) -> None:
    for n in range(2):
        frame = pl.DataFrame([label(n, n)])
        if kind is Parquet:
            frame.write_parquet(tmp_path / f"{n}.parquet")
        else:
            (tmp_path / f"{n}.jsonl").write_text(frame.write_ndjson() + "no label\n")
    for place in (tmp_path, tmp_path / "*.*"):
        source = Source("frauds", batch=kind(place), event_time="ts", id="txn_id")
        service = FeatureService(
            "fraud", [card_spend], labels=source, label="is_fraud", request={"txn_id": str}
        )
        labels = read_labels(service)
        assert sorted(labels["txn_id"].drop_nulls()) == ["t0", "t1"]
        found = match_labels(served(0, 1), labels, service, now=NOW, wait=timedelta(0))
        assert found.counts.matched == 2
        assert found.counts.rejected == (0 if kind is Parquet else 2)
