"""Each label is given what its definition says, and nothing is lost, doubled or overwritten."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import BeamfleetError
from components.feature_join.point_in_time import join_in_chunks, point_in_time_join
from components.feature_join.rules import Rules
from components.feature_values.keyed import TIME
from components.features.service import Boundary
from tests.components.feature_join.naive import joined_naively

START = datetime(2024, 1, 1, tzinfo=UTC)
KEYS: dict[str, Any] = {"card": pl.String, "shop": pl.Int64}
LOG_SCHEMA = KEYS | {"valid_from": TIME, "created": TIME, "mean": pl.Float64, "word": pl.String}


def at(steps: int) -> datetime:
    return START + timedelta(microseconds=steps)


def _times(most: int = 12, nulls: bool = True) -> st.SearchStrategy[Any]:
    moment = st.integers(0, most).map(at)
    return st.one_of(st.none(), moment, moment, moment) if nulls else moment


_key = {"card": st.sampled_from(["a", "b", "", None]), "shop": st.sampled_from([1, -2, None])}
labels_of = st.lists(st.fixed_dictionaries(_key | {"at": _times(), "y": st.integers(0, 9)})).map(
    lambda rows: pl.DataFrame(rows, schema=KEYS | {"at": TIME, "y": pl.Int64})
)
log_of = st.lists(
    st.fixed_dictionaries(
        _key | {"valid_from": _times(), "created": _times(16), "mean": st.floats(0, 9)}
    ),
    max_size=14,
).map(
    lambda rows: pl.DataFrame(
        [row | {"word": f"w{i}"} for i, row in enumerate(rows)], schema=LOG_SCHEMA
    )
)
rules_of = st.builds(
    Rules,
    keys=st.sampled_from([("card",), ("shop",), ("card", "shop")]),
    label_time=st.just("at"),
    features=st.sampled_from([("mean",), ("word", "mean")]),
    ttl_us=st.sampled_from([None, 0, 1, 3, 50]),
    boundary=st.sampled_from(["strict", "inclusive"]),
    offset_us=st.sampled_from([0, 1, 4]),
    as_known=st.booleans(),
)


@settings(max_examples=400, deadline=None)
@given(labels=labels_of, log=log_of, rules=rules_of, shuffled=st.booleans(), cuts=st.data())
def test_equals_the_definition(
    labels: pl.DataFrame, log: pl.DataFrame, rules: Rules, shuffled: bool, cuts: Any
) -> None:
    if not shuffled:
        log = log.sort(*rules.keys, "valid_from", "created")
    expected = joined_naively(labels, log, rules)
    assert joined_by(rules, labels, log).rows() == expected
    parts = _cut(log, cuts.draw(st.lists(st.integers(0, log.height), max_size=2)))
    chunks = join_in_chunks(labels.lazy(), [part.lazy() for part in parts], rules, chunk_rows=3)
    assert pl.concat(list(chunks)).rows() == expected


def joined_by(rules: Rules, labels: pl.DataFrame, log: pl.DataFrame | pl.LazyFrame) -> pl.DataFrame:
    return point_in_time_join(labels, log, **vars(rules))


def _cut(log: pl.DataFrame, places: Sequence[int]) -> list[pl.DataFrame]:
    ends = [0, *sorted(places), log.height]
    return [log[start:end] for start, end in pairwise(ends)]


def simple(boundary: Boundary = "inclusive", **others: Any) -> Rules:
    given: dict[str, Any] = {"keys": ("card",), "features": ("mean",), "ttl_us": None}
    return Rules(label_time="at", boundary=boundary, **(given | others))


LABELS = pl.DataFrame(
    {"card": ["a", "b", "a"], "at": [at(5), at(5), at(9)]}, schema={"card": pl.String, "at": TIME}
)
LOG = pl.DataFrame(
    {"card": ["a", "b"], "valid_from": [at(5), at(6)], "created": [at(7), at(7)], "mean": [1.0, 2]},
    schema_overrides={"valid_from": TIME, "created": TIME},
)


def test_labels_keep_their_columns_types_and_order() -> None:
    moscow = LABELS.with_columns(
        pl.col("at").dt.cast_time_unit("ms").dt.convert_time_zone("Europe/Moscow"),
        row=pl.lit("x"), created=pl.lit(3), valid_from=pl.lit(None), k0=1, f0=2, label=3,
    )  # fmt: skip
    made = joined_by(simple(), moscow, LOG)
    assert made.drop("mean").equals(moscow)
    assert made.columns == [*moscow.columns, "mean"]


@pytest.mark.parametrize("times", ["naive", "text", "nanoseconds"])
def test_times_of_labels_may_be_written_otherwise(times: str) -> None:
    written = {
        "naive": pl.col("at").dt.replace_time_zone(None),
        "text": pl.col("at").dt.to_string("iso:strict"),
        "nanoseconds": pl.col("at").dt.cast_time_unit("ns"),
    }
    made = joined_by(simple(), LABELS.with_columns(at=written[times]), LOG)
    assert made["mean"].to_list() == [1.0, None, 1.0]


def test_keys_of_other_widths_and_categories_are_the_same() -> None:
    numbers = {"a": 1, "b": 2}
    labels = LABELS.with_columns(pl.col("card").replace_strict(numbers, return_dtype=pl.UInt8))
    log = LOG.with_columns(pl.col("card").replace_strict(numbers, return_dtype=pl.Int32))
    assert joined_by(simple(), labels, log)["mean"].to_list() == [1.0, None, 1.0]
    named = LABELS.with_columns(pl.col("card").cast(pl.Categorical))
    assert joined_by(simple(), named, LOG)["mean"].to_list() == [1.0, None, 1.0]


def test_a_log_without_created_needs_none() -> None:
    assert joined_by(simple(), LABELS, LOG.drop("created"))["mean"].to_list() == [1.0, None, 1.0]


@pytest.mark.parametrize("part", ["labels", "log", "both", "unknown keys"])
def test_nothing_to_join_gives_nulls_of_the_right_type(part: str) -> None:
    labels = LABELS.clear() if part in ("labels", "both") else LABELS
    log = LOG.clear() if part in ("log", "both") else LOG
    if part == "unknown keys":
        labels = labels.with_columns(card=pl.lit(None))
    made = joined_by(simple(), labels, log)
    assert (made.height, made["mean"].dtype) == (labels.height, pl.Float64)
    assert made["mean"].null_count() == labels.height
    assert pl.concat(join_in_chunks(labels.lazy(), [log], simple())).equals(made)


@pytest.mark.parametrize(
    ("labels", "log", "rules", "says"),
    [
        (LABELS.with_columns(mean=0), LOG, simple(), "mean is a column of the labels and a feat"),
        (LABELS.drop("card"), LOG, simple(), "the labels have no column card; they have at"),
        (LABELS, LOG.drop("mean"), simple(), "the log has no column mean"),
        (LABELS, LOG.drop("created"), simple(as_known=True), "the log has no column created"),
        (LABELS.with_columns(card=1), LOG, simple(), "card is Int64 in the labels and String in"),
        (LABELS.with_columns(card=1.5), LOG, simple(), "key card of the labels is Float64, exp"),
        (LABELS.with_columns(card=pl.lit(2**64 - 1)), LOG, simple(), "integers beyond 64 bits"),
        (LABELS.with_columns(at=pl.Series(["2024-01-01", "x", None])), LOG, simple(), "in row 1"),
        (LABELS.with_columns(at=5), LOG, simple(), "at of the labels is Int32, expected timest"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(
    labels: pl.DataFrame, log: pl.DataFrame, rules: Rules, says: str
) -> None:
    with pytest.raises(BeamfleetError) as error:
        joined_by(rules, labels, log)
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("others", "says"),
    [
        ({"boundary": "before"}, "expected \"strict\" or"),
        ({"offset_us": -1}, "would look into the future"),
        ({"ttl_us": -1}, "expected 0 or more"),
        ({"features": ("mean", "mean")}, "mean is there twice"),
        ({"keys": ()}, "a key and a feature at least"),
    ],
)  # fmt: skip
def test_impossible_rules_are_refused(others: dict[str, Any], says: str) -> None:
    with pytest.raises(BeamfleetError, match=says):
        simple(**others)


def test_parts_of_different_types_are_refused() -> None:
    parts = [LOG, LOG.with_columns(mean=pl.lit("x"))]
    with pytest.raises(BeamfleetError, match="differ in the types"):
        list(join_in_chunks(LABELS.lazy(), parts, simple()))


def test_labels_and_log_in_files_give_the_same(tmp_path: Path) -> None:
    labels = pl.concat([LABELS] * 50)
    labels.write_parquet(tmp_path / "labels.parquet", row_group_size=7)
    for i in range(2):
        LOG[i : i + 1].write_parquet(tmp_path / f"log-{i}.parquet")
    parts = [pl.scan_parquet(path) for path in sorted(tmp_path.glob("log-*.parquet"))]
    chunks = list(
        join_in_chunks(pl.scan_parquet(tmp_path / "labels.parquet"), parts, simple(), chunk_rows=20)
    )
    assert len(chunks) > 1
    assert pl.concat(chunks).equals(joined_by(simple(), labels, LOG))
    assert joined_by(simple(), labels, pl.concat(parts)).equals(joined_by(simple(), labels, LOG))
