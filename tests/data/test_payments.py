"""The committed payments are what the script makes, and hold what its head promises."""

import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

DATA = Path(__file__).parents[2] / "data"
PAYMENTS = DATA / "payments"
ID = {"txns": "txn_id", "payments": "payment_id", "checkouts": "checkout_id"}


def table(name: str) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(file) for file in sorted((PAYMENTS / name).iterdir())])


def stream(name: str) -> tuple[list[dict[str, object]], list[str]]:
    """Events in the order of arrival, and the lines that are none."""
    whole, broken = [], []
    for line in (PAYMENTS / "stream" / f"{name}.jsonl").read_text().splitlines():
        try:
            whole.append(json.loads(line))
        except ValueError:
            broken.append(line)
    return whole, broken


def test_the_script_makes_the_committed_events(tmp_path: Path) -> None:
    script = DATA / "make_payments.py"
    subprocess.run([sys.executable, script, "--out", tmp_path], check=True, capture_output=True)
    files = [file.relative_to(PAYMENTS) for file in PAYMENTS.rglob("*") if file.is_file()]
    assert {file.relative_to(tmp_path) for file in tmp_path.rglob("*.*")} == set(files)
    for file in files:
        if file.suffix == ".jsonl":
            assert (tmp_path / file).read_bytes() == (PAYMENTS / file).read_bytes()
        else:  # the bytes of Parquet differ between releases of Arrow
            assert pl.read_parquet(tmp_path / file).equals(pl.read_parquet(PAYMENTS / file))


def test_it_is_small() -> None:
    assert sum(file.stat().st_size for file in PAYMENTS.rglob("*.*")) < 1_500_000


@pytest.mark.parametrize("name", list(ID))
def test_the_stream_has_the_last_days_of_the_history_and_more(name: str) -> None:
    history, (events, broken) = table(name), stream(name)
    last = history.filter(pl.col("ingested_at") >= pl.datetime(2024, 5, 22, time_zone="UTC"))
    known = {row[ID[name]] for row in events if row.get("ts") != "yesterday"}
    assert set(last[ID[name]]) == known
    assert len(events) + len(broken) > last.height  # what is broken comes on top
    assert broken or name == "payments"


def test_events_come_late_twice_and_out_of_order() -> None:
    events, _ = stream("txns")
    whole = [row for row in events if row["ts"] != "yesterday" and row["user_id"]]
    times = [str(row["ts"]) for row in whole]
    arrived = [str(row["ingested_at"]) for row in whole]
    ids = [row["txn_id"] for row in whole]
    assert arrived == sorted(arrived) and times != sorted(times)
    assert len(set(ids)) < len(ids)
    late = table("txns").select((pl.col("ingested_at") - pl.col("ts")).dt.total_minutes())
    assert 0.01 < (late > 1).to_series().mean() < 0.1  # type: ignore[operator]
    assert 0.001 < (late > 60).to_series().mean() < 0.01  # type: ignore[operator]


def test_labels_come_later_and_frauds_are_neither_rare_nor_common() -> None:
    labels = table("labels")
    assert labels.select((pl.col("labelled_at") > pl.col("ts")).all()).item()
    assert labels["txn_id"].n_unique() == labels.height
    by_category = labels.group_by("category").agg(pl.len(), pl.col("is_fraud").mean())
    assert by_category.height == 6 and by_category["len"].min() < 300  # type: ignore[operator]
    assert by_category["is_fraud"].is_between(0.08, 0.25).all()


def test_the_newest_transactions_are_behind_all_that_is_known() -> None:
    newest = pl.read_parquet(PAYMENTS / "newest" / "txns.parquet")
    assert newest.height > 30 and "is_fraud" not in newest.columns
    assert newest["ts"].min() >= table("txns")["ts"].max()  # type: ignore[operator]
