"""The example by which point-in-time joins are explained.

One customer's weekly transactions, and labels of three dates. In the talk that it is taken from,
the label of 01-02 is given 44 and 80: the values of 01-07, five days later.
"""

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from components.feature_join.point_in_time import point_in_time_join
from components.features.service import Boundary


def day(number: int) -> datetime:
    return datetime(2021, 1, number, tzinfo=UTC)


TRANSACTIONS = pl.DataFrame(
    {
        "customer": [1, 1, 1],
        "valid_from": [day(1), day(7), day(14)],
        "created": [day(1), day(7), day(14)],
        "first": [14, 44, 78],
        "second": [87, 80, 82],
    }
)
NOTHING = (None, None)


def labels_of(*customers: int) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "customer": customers,
            "date": [day(1), day(2), day(16)],
            "label": ["short_term", "short_term", "long_term"],
        }
    )


@pytest.mark.parametrize("as_known", [False, True])
@pytest.mark.parametrize(
    ("boundary", "customers", "expected"),
    [
        ("inclusive", (1, 1, 1), [(14, 87), (14, 87), (78, 82)]),
        ("strict", (1, 1, 1), [NOTHING, (14, 87), (78, 82)]),
        ("inclusive", (1, 2, 3), [(14, 87), NOTHING, NOTHING]),
        ("strict", (1, 2, 3), [NOTHING, NOTHING, NOTHING]),
    ],
)
def test_a_label_sees_nothing_of_its_future(
    boundary: Boundary, customers: tuple[int, ...], expected: list[Any], as_known: bool
) -> None:
    labels = labels_of(*customers)
    made = point_in_time_join(
        labels, TRANSACTIONS, keys=["customer"], label_time="date", features=["first", "second"],
        ttl_us=None, boundary=boundary, as_known=as_known,
    )  # fmt: skip
    assert made.select(labels.columns).equals(labels)
    assert made.select("first", "second").rows() == expected
