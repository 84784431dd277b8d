"""The whole road: events, backfill, online store, vectors, the log, and what skew says of it."""

import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from components.errors import BeamfleetError
from components.feature_backfill.backfill import backfill
from components.feature_backfill.logs import known_log, read_log
from components.feature_monitor.backfilled import backfilled_until, stored_skew
from components.feature_vectors import FeatureVectors
from components.features import (
    Count,
    FeatureService,
    Mean,
    Parquet,
    Rolling,
    Source,
    UnifiedTransformer,
    on_demand,
    stream_feature_view,
)
from components.online_store import open_online_store
from components.served_log import ServedLog
from tests.components.served_log.services import CARD, START

HOUR = timedelta(hours=1)
AS_OF = START + timedelta(days=6)


def service_of(folder: Path, boundary: str) -> FeatureService:
    source = Source("txns", Parquet(folder / "txns"), "ts", created="seen", id="txn_id")

    @stream_feature_view(
        entities=[CARD], source=source, schema={"mean": float, "count": int}, ttl="1d", online=True
    )
    def spend(events: Any) -> Any:
        return events | UnifiedTransformer(lambda e: e, Rolling("4h"), (Mean("amount"), Count()))

    @on_demand(inputs=[spend["mean"]], schema={"over": float}, request={"amount": float})
    def above(inputs: pl.DataFrame) -> pl.DataFrame:
        return inputs.select(over=pl.col("amount") - pl.col("mean"))

    given: Any = {"boundary": boundary, "offset": "5m" if boundary == "strict" else "0s"}
    return FeatureService("fraud", [spend, above], request={"amount": float}, **given)


def make_events(folder: Path, late: float) -> None:
    dice = random.Random(5)
    times = [START + timedelta(minutes=dice.randrange(5 * 24 * 60)) for _ in range(300)]
    (folder / "txns").mkdir()
    pl.DataFrame(
        {
            "card_id": [f"c{dice.randrange(5)}" for _ in times],
            "ts": times,
            "seen": [t + (3 * HOUR if dice.random() < late else timedelta(0)) for t in times],
            "txn_id": [str(n) for n in range(300)],
            "amount": [float(dice.randrange(1, 1000)) for _ in times],
        }
    ).write_parquet(folder / "txns" / "a.parquet")


def serve(root: Path, service: FeatureService, log: pl.DataFrame, broken: bool = False) -> int:
    """Serves at 150 times from an online store of these rows; gives how many before AS_OF."""
    view = service.needed[0].view
    online = open_online_store(f"sqlite:///{root}/online.db")
    online.write(view, log, START)  # all of it: a store of now would know no earlier values
    vectors, dice = FeatureVectors(service, online), random.Random(6)
    changes, offset = log["valid_from"].to_list(), timedelta(microseconds=service.offset_us)
    times = []
    with ServedLog(root, service) as served:
        for n in range(150):
            # Some at the very times of changes, where strict and inclusive differ.
            exact, any_time = dice.choice(changes) + offset, START + dice.random() * 7 * 24 * HOUR
            times.append(exact if dice.random() < 0.3 else any_time)
            asked = pl.DataFrame({"card_id": [f"c{dice.randrange(6)}"], "amount": [5.0]})
            found = vectors.read(asked, times[-1])
            row = {f"feature.{f}": found.values[f][0] for f in ("mean", "count", "over")}
            row |= {"request_id": f"r{n}", "time": times[-1], "request.amount": 5.0}
            row |= {"key.card_id": asked["card_id"][0]}
            row |= {"valid_from.spend": found.valid_from["spend"][0]}
            if broken and row["feature.count"]:
                row["feature.count"] += 1
            served.append([row])
    return sum(time <= AS_OF for time in times)


@pytest.mark.parametrize("boundary", ["inclusive", "strict"])
@pytest.mark.parametrize("late", [0.0, 0.3])
def test_what_the_online_store_gives_is_what_the_backfill_says(
    tmp_path: Path, boundary: str, late: float
) -> None:
    make_events(tmp_path, late)
    service = service_of(tmp_path, boundary)
    view = service.needed[0].view
    backfill(view, tmp_path, as_of=AS_OF)
    compared = serve(tmp_path, service, known_log(view, tmp_path))
    report = stored_skew(tmp_path, service, START, START + timedelta(days=9))
    assert not report.alarms
    assert [one.feature for one in report.features] == ["mean", "count", "over"]
    for one in report.features:
        assert one.rows == compared < 150
        assert one.kinds["equal"] > 40
        assert bool(one.kinds["late"]) == bool(late and one.feature != "over")
    assert sum(report.not_compared.values()) == 150 - compared
    assert backfilled_until(tmp_path, service) == AS_OF


def test_a_server_that_computes_otherwise_is_found(tmp_path: Path) -> None:
    make_events(tmp_path, 0.2)
    service = service_of(tmp_path, "strict")
    view = service.needed[0].view
    backfill(view, tmp_path, as_of=AS_OF)
    serve(tmp_path, service, known_log(view, tmp_path), broken=True)
    report = stored_skew(tmp_path, service, START, START + timedelta(days=9))
    assert [one.feature for one in report.alarms] == ["count"]
    assert report.alarms[0].largest >= 1  # type: ignore[operator]


def test_an_online_store_that_is_not_written_any_more_is_stale(tmp_path: Path) -> None:
    make_events(tmp_path, 0.0)
    service = service_of(tmp_path, "inclusive")
    view = service.needed[0].view
    backfill(view, tmp_path, as_of=AS_OF)
    log = read_log(view, tmp_path).collect()
    serve(tmp_path, service, log.filter(pl.col("valid_from") < START + timedelta(days=3)))
    report = stored_skew(tmp_path, service, START, START + timedelta(days=9))
    count = next(one for one in report.features if one.feature == "count")
    assert count.kinds["stale"] > 0
    assert count.kinds["differing"] == count.kinds["late"] == 0
    assert count in report.alarms


def test_without_a_backfill_nothing_is_said(tmp_path: Path) -> None:
    make_events(tmp_path, 0.0)
    service = service_of(tmp_path, "inclusive")
    with pytest.raises(BeamfleetError, match="view 'spend' version 1 has no history"):
        stored_skew(tmp_path, service, START, START + timedelta(days=1))
    with pytest.raises(BeamfleetError, match="max_share"):
        stored_skew(tmp_path, service, START, START + timedelta(days=1), 2.0)
