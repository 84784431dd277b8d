"""What is plainly meant is taken; what is not is refused by name."""

from collections.abc import Callable
from typing import Any

import pytest

from components.errors import BeamfleetError
from components.feature_store.splits import ByHash
from components.features import (
    Count,
    Entity,
    FeatureGroup,
    Lifetime,
    Parquet,
    Source,
    UnifiedTransformer,
    stream_feature_view,
)

TXNS = Source("txns", Parquet("txns"), "ts")


def _view(entities: Any) -> Any:
    def counted(events: Any) -> Any:
        return events | UnifiedTransformer(lambda e: e, Lifetime(), Count())

    return stream_feature_view(entities=entities, source=TXNS, schema={"n": int})(counted)


def test_a_text_is_one_key() -> None:
    assert Entity("e", keys="id").keys == ("id",)
    assert FeatureGroup("g", primary_key="id", event_time="at", schema={"n": int}).keys == ("id",)


def test_one_entity_needs_no_list() -> None:
    assert _view(Entity("e", keys="id")).entities == (Entity("e", keys=["id"]),)


@pytest.mark.parametrize(
    ("declare", "says"),
    [
        (lambda: _view(["company"]), r"entities= has 'company', expected an Entity"),
        (lambda: _view("company"), r"expected an Entity"),
        (lambda: ByHash(0.1, 0.1, entity="company"), r"entity is 'company', expected an Entity"),  # type: ignore[arg-type]
        (lambda: Source("x", "data/x", "ts"), r"batch is 'data/x', expected Parquet\(...\) or"),  # type: ignore[arg-type]
        (lambda: Source("x", Parquet("x"), "ts", "data/y"), r"stream is 'data/y', expected Json"),  # type: ignore[arg-type]
    ],
)  # fmt: skip
def test_what_is_no_declaration_is_refused(declare: Callable[[], object], says: str) -> None:
    with pytest.raises(BeamfleetError, match=says):
        declare()
