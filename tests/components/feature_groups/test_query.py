"""Features of several groups meet labels, and each other, as of a time."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from components.errors import BeamfleetError
from components.feature_groups.stored import StoredGroup
from components.features import Entity, FeatureGroup, FeatureService

START = datetime(2024, 1, 1, tzinfo=UTC)
CARD = Entity("card", keys=["card_id"])
SPEND = FeatureGroup("spend", CARD, "ts", {"total": float, "shop_id": int}, ttl="2d")
SHOP = FeatureGroup("shop", {"shop_id": int}, "changed", {"risk": float, "total": float})


def day(number: int) -> datetime:
    return START + timedelta(days=number)


@pytest.fixture
def spend(tmp_path: Path) -> StoredGroup:
    group = StoredGroup(SPEND, tmp_path)
    group.insert(
        pl.DataFrame(
            {"card_id": ["a", "a", "b"], "ts": [day(0), day(3), day(1)], "total": [1.0, 2, 3],
             "shop_id": [7, 8, 7]}
        )
    )  # fmt: skip
    return group


@pytest.fixture
def shop(tmp_path: Path) -> StoredGroup:
    group = StoredGroup(SHOP, tmp_path)
    group.insert(
        pl.DataFrame(
            {"shop_id": [7, 7], "changed": [day(0), day(1)], "risk": [0.1, 0.2], "total": 0.0}
        )
    )
    return group


def test_labels_of_two_models_are_joined_to_the_same_groups(
    spend: StoredGroup, shop: StoredGroup
) -> None:
    query = spend.select(["total"]).join(shop.select(["risk"]))
    labels = pl.DataFrame(
        {"card_id": ["a", "a", "b", "b"], "shop_id": [7, 7, 7, 9], "ts": [0, 3, 1, 4], "y": 1}
    ).with_columns(ts=START + pl.duration(days="ts"))
    made = query.of(labels.to_pandas(), label_time="ts")
    assert made.select("total", "risk").rows() == [(1.0, 0.1), (2.0, 0.2), (3.0, 0.2), (None, None)]
    strict = query.of(labels.drop("y"), label_time="ts", boundary="strict", offset="1d")
    assert strict["total"].to_list() == [None, 1.0, None, 3.0]
    known = query.of(labels, label_time="ts", as_known=True)
    assert known["total"].null_count() == 4  # inserted today, long after the labels


def test_groups_are_joined_by_the_event_time_of_the_first(
    spend: StoredGroup, shop: StoredGroup
) -> None:
    query = spend.select(["total"]).join(shop.select(["risk"]))
    assert query.read().rows() == [
        ("a", day(0), 1.0, 0.1), ("a", day(3), 2.0, None), ("b", day(1), 3.0, 0.2),
    ]  # fmt: skip
    assert query.read(day(9)).height == 0


def test_a_service_reads_what_the_query_reads(spend: StoredGroup, shop: StoredGroup) -> None:
    query = spend.select(["total"]).join(shop.select(["risk"]))
    service = FeatureService("fraud", query.selections, request={"amount": float})
    assert service.keys == ("card_id", "shop_id")
    assert service.schema == {"total": float, "risk": float}
    assert service.boundary == "inclusive"


@pytest.mark.parametrize(
    ("use", "says"),
    [
        (lambda spend, shop: spend.select(["oops"]), "has no feature oops; it has total, shop_id"),
        (lambda spend, shop: spend.select().join(shop.select()), "total is selected twice"),
        (
            lambda spend, shop: spend.select().join(StoredGroup(SHOP, Path("x")).select(["risk"])),
            "two stores",
        ),
        (lambda spend, shop: shop.select().join(spend.select(["shop_id"])).read(), "card_id"),
        (
            lambda spend, shop: spend.select().of(pl.DataFrame({"card_id": []}), label_time="ts"),
            "the labels have no column ts",
        ),
    ],
)
def test_what_does_not_fit_is_refused(
    use: Any, says: str, spend: StoredGroup, shop: StoredGroup
) -> None:
    with pytest.raises(BeamfleetError, match=says):
        use(spend, shop)
