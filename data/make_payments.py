"""Makes card transactions, payment events, checkouts and labels; nobody is behind them.

Users have one or two cards. They shop in sittings: a checkout, then a transaction or a few. Now and
then somebody else has a card: payments fail, then transactions follow each other without a
checkout. Whether a transaction is a fraud is drawn from what went before it (see `_is_fraud`): how
many transactions of the card there were in the last four hours and what they cost, how long ago a
payment of the user failed and the user checked out. How much each counts differs between the
merchant categories.

    python data/make_payments.py --seed 5 --out data/payments

What came since 22 May is there twice: in the history, and as a stream of JSON lines in the
order of arrival, with late, repeated and out-of-order events and a few broken lines. Both end on 24
May at 18:00; `newest` has the transactions of the hour and a half behind that, which nobody has
judged.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

START = datetime(2024, 5, 1, tzinfo=UTC)
STREAM = datetime(2024, 5, 22, tzinfo=UTC)
"""From here on there is a stream."""
NOW = datetime(2024, 5, 24, 18, tzinfo=UTC)
"""What happened until then is known; labels, as far as somebody has judged."""
NEWEST = NOW + timedelta(minutes=90)
DAYS = 24
USERS = 380
FOUR_HOURS = timedelta(hours=4)
TIME = pa.timestamp("us", "UTC")

# Category -> share, median amount, and what moves the log-odds of a fraud:
# constant, transactions of the last 4 h, their mean (in medians), recent failure, no checkout.
CATEGORIES: dict[str, tuple[float, float, tuple[float, float, float, float, float]]] = {
    "groceries": (0.30, 38.0, (-4.6, -0.3, 0.1, 5.5, 0.2)),
    "electronics": (0.19, 190.0, (-4.0, -0.2, 0.1, -1.0, 5.0)),
    "fashion": (0.18, 75.0, (-4.4, -0.5, 2.3, 0.5, 0.3)),
    "gaming": (0.16, 25.0, (-4.4, 2.4, -0.1, 0.3, -0.5)),
    "travel": (0.15, 320.0, (-3.6, 0.9, 2.0, -2.5, 1.8)),
    "jewellery": (0.02, 410.0, (-3.4, 0.5, 0.4, 2.0, 1.5)),
}

Row = dict[str, Any]
_ID = {"txns": "txn_id", "payments": "payment_id", "checkouts": "checkout_id"}


@dataclass
class World:
    """All that happened until NEWEST, by table."""

    txns: list[Row] = field(default_factory=list)
    payments: list[Row] = field(default_factory=list)
    checkouts: list[Row] = field(default_factory=list)
    labels: list[Row] = field(default_factory=list)


def make(seed: int) -> World:
    """Draws the users one by one, then what their transactions were."""
    rng = np.random.default_rng(seed)
    world, card = World(), 0
    for number in range(USERS):
        cards = [f"c{card + place:04d}" for place in range(1 + int(rng.random() < 0.3))]
        card += len(cards)
        _live(world, rng, f"u{number:04d}", cards)
    for name in _ID:
        rows = sorted(getattr(world, name), key=lambda row: (row["ts"], row["user_id"]))
        marked = [{_ID[name]: f"{_ID[name][:3]}{n:05d}", **row} for n, row in enumerate(rows)]
        setattr(world, name, marked)
    world.labels = [_labelled(row, rng) for row in world.txns if row["ts"] < NOW]
    for name in _ID:
        getattr(world, name).extend(_repeated(getattr(world, name), rng))
    for row in world.txns[900:5000:2000]:
        row["card_id"] = None  # a terminal that could not read the card
    return world


def _live(world: World, rng: np.random.Generator, user: str, cards: list[str]) -> None:
    """A user's sittings, failed payments and, for some, an attack on a card."""
    busy = float(rng.gamma(4.0, 0.2))
    for _ in range(int(rng.poisson(busy * DAYS))):
        _sitting(world, rng, user, str(rng.choice(cards)), _moment(rng), attack=False)
    for _ in range(int(rng.poisson(0.06 * DAYS))):
        _pay(world, rng, user, str(rng.choice(cards)), _moment(rng))
    for _ in range(int(rng.poisson(0.03 * DAYS))):
        _sitting(world, rng, user, str(rng.choice(cards)), _moment(rng), attack=True)


def _moment(rng: np.random.Generator) -> datetime:
    """Any time, more often in the afternoon than at night."""
    day = int(rng.integers(DAYS))
    hour = float(np.clip(rng.normal(15, 4.5), 0, 23.6))
    return START + timedelta(days=day, hours=hour, microseconds=int(rng.integers(1_000_000)))


def _sitting(
    world: World, rng: np.random.Generator, user: str, card: str, at: datetime, *, attack: bool
) -> None:
    """A checkout, unless it is an attack, and transactions behind it."""
    if attack or rng.random() < 0.05:
        for _ in range(int(rng.integers(1, 4))):
            _pay(world, rng, user, card, at, failed=True)
            at += timedelta(seconds=float(rng.exponential(600)))
    if rng.random() < (0.1 if attack else 0.8):
        world.checkouts.append(_event(rng, at, user_id=user, items=int(rng.integers(1, 9))))
    at += timedelta(seconds=30 + float(rng.exponential(400)))
    many = rng.integers(3, 8) if attack else 1 + rng.poisson(0.45)
    shares = [share for share, _, _ in CATEGORIES.values()]
    for _ in range(int(many)):
        category = str(rng.choice(list(CATEGORIES), p=shares))
        amount = CATEGORIES[category][1] * float(rng.lognormal(0.45 if attack else 0.0, 0.6))
        row = {"card_id": card, "user_id": user, "category": category, "amount": round(amount, 2)}
        if at < NEWEST:
            world.txns.append(_event(rng, at, **row))
            _pay(world, rng, user, card, at + timedelta(seconds=2))
        at += timedelta(seconds=float(rng.exponential(900 if attack else 3600)))


def _pay(
    world: World, rng: np.random.Generator, user: str, card: str, at: datetime, failed: bool = False
) -> None:
    """What became of a payment: few are told, of the failed ones all."""
    failed = failed or rng.random() < 0.04
    if at >= NEWEST or (not failed and rng.random() < 0.85):
        return
    status = str(rng.choice(["failed", "ach_nsf"], p=[0.7, 0.3])) if failed else "settled"
    world.payments.append(_event(rng, at, user_id=user, card_id=card, status=status))


def _event(rng: np.random.Generator, at: datetime, **columns: Any) -> Row:
    """Most are known within a minute, some within half an hour, a few after hours."""
    drawn = rng.random()
    seconds = rng.exponential(15) if drawn < 0.97 else rng.uniform(60, 1500)
    if drawn > 0.9975:
        seconds = rng.uniform(3 * 3600, 9 * 3600)
    return {**columns, "ts": at, "ingested_at": at + timedelta(seconds=0.2 + float(seconds))}


def _labelled(txn: Row, rng: np.random.Generator) -> Row:
    """Known when a customer complains, or when nobody did for some days."""
    days = float(rng.uniform(0.2, 2.5))
    keep = ("txn_id", "card_id", "user_id", "category", "amount", "ts")
    return {
        **{name: txn[name] for name in keep},
        "is_fraud": 0,
        "labelled_at": txn["ts"] + timedelta(days=days),
    }


def _draw_frauds(world: World, seed: int) -> None:
    """Fills in `is_fraud`, from what went before each transaction."""
    rng = np.random.default_rng([seed, 1])
    by_card, failures, checkouts = (
        _times(world.txns, "card_id"),
        _times([row for row in world.payments if row["status"] != "settled"], "user_id"),
        _times(world.checkouts, "user_id"),
    )
    for label in world.labels:
        at = label["ts"]
        earlier = [r for r in by_card[label["card_id"]] if at - FOUR_HOURS < r["ts"] < at]
        failed = [r["ts"] for r in failures.get(label["user_id"], []) if r["ts"] < at]
        visits = [r["ts"] for r in checkouts.get(label["user_id"], []) if r["ts"] < at]
        label["is_fraud"] = int(rng.random() < _is_fraud(label, earlier, failed, visits))


def _is_fraud(
    label: Row, earlier: list[Row], failed: list[datetime], visits: list[datetime]
) -> float:
    """Probability of a fraud."""
    _, median, (constant, count, mean, failure, unseen) = CATEGORIES[label["category"]]
    at, spent = label["ts"], [row["amount"] for row in earlier]
    hours = (at - max(failed)).total_seconds() / 3600 if failed else 1000.0
    away = (at - max(visits)).total_seconds() / 3600 if visits else 1000.0
    odds = (
        constant
        + count * min(len(spent), 6)
        + mean * min(float(np.mean(spent)) / median if spent else 0.0, 3.0)
        + failure * float(np.exp(-hours / 6))
        + unseen * (away > 2)
        + 0.25 * (label["amount"] > 2 * median)
    )
    return float(1 / (1 + np.exp(-odds)))


def _times(rows: list[Row], key: str) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row[key], []).append(row)
    return found


def _repeated(rows: list[Row], rng: np.random.Generator) -> list[Row]:
    """Some are delivered twice."""
    chosen = [row for row in rows if rng.random() < 0.004]
    later = [timedelta(seconds=float(rng.exponential(120))) for _ in chosen]
    return [
        {**row, "ingested_at": row["ingested_at"] + wait}
        for row, wait in zip(chosen, later, strict=True)
    ]


def write(world: World, out: Path) -> None:
    """Parquet by eight days and by table; the stream by table; what is still to be judged."""
    for name in (*_ID, "labels"):
        rows = [row for row in getattr(world, name) if _is_known(row)]
        for start in range(0, DAYS, 8):
            first, end = START + timedelta(days=start), START + timedelta(days=start + 8)
            part = [row for row in rows if first <= row["ts"] < end]
            _write_parquet(part, out / name / f"{first:%Y-%m-%d}.parquet")
    new = [row for row in world.txns if row["ts"] >= NOW]
    _write_parquet([_without(row, "ingested_at") for row in new], out / "newest" / "txns.parquet")
    for name in _ID:
        rows = [
            row for row in getattr(world, name) if row["ingested_at"] >= STREAM and _is_known(row)
        ]
        path = out / "stream" / f"{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in _lines(rows)), encoding="utf-8")


def _is_known(row: Row) -> bool:
    """Whether it has happened and, of an event, come by now."""
    return bool(row["ts"] < NOW and row.get("ingested_at", row["ts"]) < NOW)


def _without(row: Row, name: str) -> Row:
    return {key: value for key, value in row.items() if key != name}


def _write_parquet(rows: list[Row], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    order = sorted(rows, key=lambda row: row.get("ingested_at", row["ts"]))
    table = pa.Table.from_pylist(order)
    times = {"ts", "ingested_at", "labelled_at"} & set(table.column_names)
    for name in times:
        index = table.column_names.index(name)
        table = table.set_column(index, name, table[name].cast(TIME))
    pq.write_table(table, path, compression="zstd", compression_level=15)


def _lines(rows: list[Row]) -> Iterator[str]:
    """In the order of arrival; every four hundredth line is followed by a broken one."""
    ordered = sorted(rows, key=lambda row: row["ingested_at"])
    for number, row in enumerate(ordered):
        text = {k: _iso(v) if isinstance(v, datetime) else v for k, v in row.items()}
        line = json.dumps(text, separators=(",", ":"))
        yield line
        if number % 400 == 200:
            yield _broken(line, text, number // 400)


def _broken(line: str, row: Row, number: int) -> str:
    """Cut off, without a key, with a time that is none."""
    kinds = (line[:40], json.dumps({**row, "user_id": None, "card_id": None}))
    return (*kinds, json.dumps({**row, "ts": "yesterday"}))[number % 3]


def _iso(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    world = make(arguments.seed)
    _draw_frauds(world, arguments.seed)
    write(world, arguments.out)
    rate = np.mean([row["is_fraud"] for row in world.labels])
    print(
        f"{len(world.txns)} transactions ({rate:.1%} frauds), {len(world.payments)} payment events "
        f"and {len(world.checkouts)} checkouts in {arguments.out}"
    )


if __name__ == "__main__":
    main()
