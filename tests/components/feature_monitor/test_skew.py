"""Every difference between served and backfilled values is found, and by its cause."""

import random
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.feature_monitor.skew import SkewReport, service_skew
from components.feature_monitor.values import KINDS, FeatureSkew, same
from components.feature_values.changes import changes
from components.feature_values.keyed import keyed_events
from components.features import FeatureService, on_demand
from components.served_log.columns import as_frame, log_schema
from tests.components.served_log.services import END, FRAUD, START, TXNS, card_spend

HOUR = timedelta(hours=1)


def events_of(seed: int, count: int = 40, late: float = 0.2) -> pl.DataFrame:
    """Of three cards over five days; some arrive hours late."""
    dice = random.Random(seed)
    times = [START + timedelta(minutes=dice.randrange(5 * 24 * 60)) for _ in range(count)]
    delays = [dice.choice([5, 30]) if dice.random() < late else 0 for _ in times]
    rows = pl.DataFrame(
        {
            "card_id": [f"c{dice.randrange(3)}" for _ in times],
            "ts": times,
            "seen": [t + d * HOUR for t, d in zip(times, delays, strict=True)],
            "txn_id": [str(n) for n in range(count)],
            "amount": [float(dice.randrange(1, 1000)) for _ in times],
        }
    )
    return keyed_events(card_spend, TXNS, rows).events


def value_at(log: pl.DataFrame, card: str, at: datetime) -> dict[str, Any] | None:
    """The row of a log that is read at a time; None: there is none, or it has expired."""
    rows = [r for r in log.to_dicts() if r["card_id"] == card and r["valid_from"] <= at]
    if not rows:
        return None
    row = max(rows, key=lambda r: r["valid_from"])
    return row if at - row["valid_from"] <= timedelta(days=1) else None


def serve(log: pl.DataFrame, seed: int, count: int = 30) -> list[dict[str, Any]]:
    """Rows as a server logs them that reads a store with all of a log."""
    dice = random.Random(seed)
    rows = []
    for n in range(count):
        card = f"c{dice.randrange(4)}"  # c3 has no events
        at = START + timedelta(minutes=dice.randrange(8 * 24 * 60))
        found = value_at(log, card, at) or {}
        rows.append(
            {
                "request_id": f"r{n}",
                "time": at,
                "key.card_id": card,
                "feature.mean_4h": found.get("mean_4h"),
                "feature.count_4h": found.get("count_4h"),
                "valid_from.card_spend": found.get("valid_from"),
            }
        )
    return rows


def skew_of(
    rows: list[dict[str, Any]], events: pl.DataFrame, service: FeatureService = FRAUD, **other: Any
) -> SkewReport:
    served = as_frame(rows, log_schema(service), service)
    final = changes(card_spend, events)

    def known(_: Any, keys: pl.DataFrame) -> pl.DataFrame:
        return known_of(events).join(keys, on="card_id", how="semi")

    return service_skew(served, service, lambda *_: final, known, start=START, end=END, **other)


def known_of(events: pl.DataFrame) -> pl.DataFrame:
    return changes(card_spend, events, known=True)


def of(report: SkewReport, feature: str) -> FeatureSkew:
    return next(one for one in report.features if one.feature == feature)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_what_a_right_store_serves_is_late_at_most(seed: int) -> None:
    events = events_of(seed)
    rows = serve(known_of(events), seed)
    report = skew_of(rows, events)
    assert not report.alarms
    for name in ("mean_4h", "count_4h"):
        one = of(report, name)
        expected = dict.fromkeys(KINDS, 0)
        for row in rows:
            card, at = row["key.card_id"], row["time"]
            found = (value_at(changes(card_spend, events), card, at) or {}).get(name)
            online, there = row[f"feature.{name}"], _has_row(events, card, at)
            if online is None and found is None and there and not _fresh(events, card, at):
                expected["expired"] += 1
            elif online is found or online == (found and pytest.approx(found, rel=1e-9)):
                expected["equal"] += 1
            else:
                expected["late"] += 1
        assert one.kinds == expected
        assert one.rows == sum(one.kinds.values()) == len(rows)


def _has_row(events: pl.DataFrame, card: str, at: datetime) -> bool:
    log = changes(card_spend, events).filter(pl.col("card_id") == card)
    return bool((log["valid_from"] <= at).any())


def _fresh(events: pl.DataFrame, card: str, at: datetime) -> bool:
    return value_at(changes(card_spend, events), card, at) is not None


def broken_row(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return next(row for row in rows if row["feature.mean_4h"] is not None)


def test_each_fault_of_a_server_is_named() -> None:
    events = events_of(3, late=0)
    report = skew_of(serve(changes(card_spend, events), 3, 200), events)
    assert of(report, "mean_4h").kinds["late"] == 0
    assert report.rows == 200

    rows = serve(changes(card_spend, events), 3, 200)
    row = broken_row(rows)
    true = row["feature.mean_4h"]
    row["feature.mean_4h"] += 250.5
    one = of(skew_of(rows, events), "mean_4h")
    assert one.kinds["differing"] == one.skewed == 1
    assert one.largest == pytest.approx(250.5)
    [example] = one.examples
    assert example == {
        "kind": "differing", "request_id": row["request_id"], "time": row["time"],
        "keys": {"card_id": row["key.card_id"]}, "online": true + 250.5, "offline": true,
    }  # fmt: skip

    row["feature.mean_4h"] = None
    assert of(skew_of(rows, events), "mean_4h").kinds["missing_online"] == 1
    row["feature.mean_4h"] = true
    absent = next(r for r in rows if r["key.card_id"] == "c3")
    absent["feature.count_4h"] = 1
    report = skew_of(rows, events)
    assert of(report, "count_4h").kinds["missing_offline"] == 1
    assert of(report, "mean_4h").skewed == 0
    assert [one.feature for one in report.alarms] == ["count_4h"]
    assert not skew_of(rows, events, max_share=0.01).alarms


def test_a_store_that_stopped_is_stale_and_one_that_never_expires_is_skewed() -> None:
    events = events_of(5, late=0)
    log = changes(card_spend, events)
    stopped = log.filter(pl.col("valid_from") < START + timedelta(days=2))
    one = of(skew_of(serve(stopped, 5, 200), events), "count_4h")
    assert one.kinds["stale"] > 2
    assert one.kinds["late"] == one.kinds["differing"] == one.kinds["missing_offline"] == 0
    # A value that expired in the stopped store is not there although it should be.
    assert one.skewed == one.kinds["stale"] + one.kinds["missing_online"]

    rows = serve(log, 5, 200)
    for row in rows:
        if row["feature.count_4h"] is None and row["key.card_id"] != "c3":
            row["feature.count_4h"] = 0
    one = of(skew_of(rows, events), "count_4h")
    assert one.kinds["missing_offline"] > 0
    assert one.kinds["expired"] == 0


def test_a_value_is_there_up_to_its_ttl_and_not_later() -> None:
    events = events_of(3, late=0)
    last = changes(card_spend, events).filter(pl.col("card_id") == "c0").tail(1).to_dicts()[0]
    at = last["valid_from"] + timedelta(days=1)
    row = {"request_id": "r", "time": at, "key.card_id": "c0", "feature.count_4h": 0}
    later = {**row, "time": at + timedelta(microseconds=1), "feature.count_4h": None}
    assert of(skew_of([row], events), "count_4h").kinds["equal"] == 1
    assert of(skew_of([later], events), "count_4h").kinds["expired"] == 1


def test_a_definition_that_differs_online_is_found() -> None:
    """The server averages over all of the day, the backfill over four hours."""
    events = events_of(7, count=120, late=0)
    rows = serve(changes(card_spend, events), 7, 200)
    for row in rows:
        mine = events.filter(
            pl.col("card_id") == row["key.card_id"],
            pl.col("event_time") <= row["time"],
            pl.col("event_time") > row["time"] - timedelta(days=1),
        )
        row["feature.mean_4h"] = mine["value"].mean()
    report = skew_of(rows, events)
    assert [one.feature for one in report.alarms] == ["mean_4h"]
    assert of(report, "mean_4h").share > 0.3
    assert len(of(report, "mean_4h").examples) <= 5 * len(KINDS)


def test_rows_beyond_the_backfill_and_of_other_versions_are_counted_apart() -> None:
    events = events_of(3, late=0)
    rows = serve(changes(card_spend, events), 3, 50)
    cut = START + timedelta(days=4)
    report = skew_of(rows, events, as_of=cut)
    beyond = sum(row["time"] > cut for row in rows)
    assert report.rows == 50
    assert list(report.not_compared.values()) == [beyond]
    assert of(report, "mean_4h").rows == 50 - beyond
    other = FeatureService("fraud", features=[card_spend], request=FRAUD.request, version=2)
    served = as_frame(rows, log_schema(FRAUD), FRAUD)
    log = changes(card_spend, events)
    report = service_skew(served, other, lambda *_: log, lambda *_: log, start=START, end=END)
    assert list(report.not_compared) == ["served by another version than 2 of the service"]
    assert of(report, "mean_4h").rows == 0
    assert report.to_dict()["features"][0]["share"] == 0


@on_demand(inputs=[card_spend["mean_4h"]], schema={"over": float}, request={"amount": float})
def above_mean(inputs: pl.DataFrame) -> pl.DataFrame:
    return inputs.select(over=pl.col("amount") - pl.col("mean_4h"))


def test_on_demand_features_are_computed_again_from_what_was_served() -> None:
    service = FeatureService(
        "asked", features=[card_spend["count_4h"], above_mean], request={"amount": float}
    )
    events = events_of(3, late=0)
    rows = serve(changes(card_spend, events), 3, 50)
    for row in rows:
        mean = row["feature.mean_4h"]
        row["request.amount"] = 7.0
        row["feature.over"] = None if mean is None else 7.0 - mean
    report = skew_of(rows, events, service)
    assert [one.feature for one in report.features] == ["count_4h", "mean_4h", "over"]
    assert not report.alarms
    broken_row(rows)["feature.over"] = 0.0
    assert [one.feature for one in skew_of(rows, events, service).alarms] == ["over"]


def test_what_counts_as_the_same() -> None:
    nan, inf = float("nan"), float("inf")
    one = pl.Series([1.0, 1.0, nan, nan, None, None, inf, inf, 0.0])
    other = pl.Series([1.0 + 1e-12, 1.001, nan, 1.0, None, 1.0, inf, 1.0, 0.0])
    assert same(one, other, 1e-9).to_list() == [1, 0, 1, 0, 1, 0, 1, 0, 1]
