"""The features of payments are short, and say what they are meant to say."""

import ast
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from components.feature_values.changes import changes
from components.feature_values.keyed import keyed_events
from components.features.on_demand import OnDemandView
from components.features.view import FeatureView
from user_code import payments

SOURCE = Path(payments.__file__)
MOST_LINES = 20


def features() -> dict[str, int]:
    """Feature view -> its lines, with decorator and with the functions that only it uses."""
    module = ast.parse(SOURCE.read_text())
    functions = {node.name: node for node in module.body if isinstance(node, ast.FunctionDef)}
    lines = {name: _lines(node) for name, node in functions.items()}
    uses = {
        name: {n.id for n in ast.walk(node) if isinstance(n, ast.Name)} & set(functions)
        for name, node in functions.items()
    }
    views = [name for name in functions if isinstance(getattr(payments, name), View)]
    return {
        name: lines[name] + sum(lines[helper] for helper in uses[name] - set(views))
        for name in views
    }


View = FeatureView | OnDemandView


def _lines(node: ast.FunctionDef) -> int:
    first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
    assert node.end_lineno is not None
    return node.end_lineno - first + 1


def test_a_feature_takes_at_most_twenty_lines() -> None:
    counted = features()
    assert len(counted) == 8
    assert {name: n for name, n in counted.items() if n > MOST_LINES} == {}


def log(view: FeatureView, **tables: list[dict[str, object]]) -> list[dict[str, object]]:
    events = [
        keyed_events(view, source, pl.DataFrame(tables[source.name])).events
        for source in view.sources
    ]
    return changes(view, pl.concat(events, how="diagonal_relaxed")).drop("created").to_dicts()


def at(minute: int) -> datetime:
    return datetime(2024, 5, 1, 10 + minute // 60, minute % 60, tzinfo=UTC)


def txn(number: int, minute: int, amount: float) -> dict[str, object]:
    return {
        "txn_id": f"t{number}", "card_id": "c", "user_id": "u", "category": "gaming",
        "amount": amount, "ts": at(minute), "ingested_at": at(minute),
    }  # fmt: skip


def payment(number: int, minute: int, status: str) -> dict[str, object]:
    return {
        "payment_id": f"p{number}", "card_id": "c", "user_id": "u", "status": status,
        "ts": at(minute), "ingested_at": at(minute),
    }  # fmt: skip


def test_spending_of_four_hours() -> None:
    rows = log(payments.card_spend, txns=[txn(1, 0, 10.0), txn(2, 30, 20.0)])
    assert [(r["valid_from"], r["mean_4h"], r["count_4h"]) for r in rows] == [
        (at(0), 10.0, 1),
        (at(30), 15.0, 2),
        (at(240), 20.0, 1),
        (at(270), None, 0),
    ]


def test_the_latest_failures() -> None:
    events = [payment(1, 0, "ach_nsf"), payment(2, 5, "settled"), payment(3, 9, "failed")]
    rows = log(payments.payment_failures, payments=events)
    assert [(r["latest_payment_fail"], r["latest_payment_fail_ach_nsf"]) for r in rows] == [
        (at(0), at(0)),
        (at(9), at(0)),
    ]


def test_two_sources_in_one_sweep() -> None:
    events = [payment(1, 1, "failed"), payment(2, 2, "settled")]
    rows = log(payments.user_attempts, txns=[txn(1, 0, 1.0)], payments=events)
    assert [(r["bought_12h"], r["failed_12h"]) for r in rows] == [(1, 0), (1, 1), (0, 1), (0, 0)]


@pytest.mark.parametrize(
    ("view", "given", "made"),
    [
        (payments.since_checkout, "latest_checkout", "time_since_user_checkout"),
        (payments.since_failure, "latest_payment_fail", "time_since_user_last_payment_failure"),
    ],
)
def test_time_since(view: OnDemandView, given: str, made: str) -> None:
    inputs = pl.DataFrame({given: [at(0), None], "request_time": [at(1), at(2)]})
    assert view.function(inputs)[made].to_list() == [60.0, None]
