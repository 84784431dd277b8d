"""What every online store does, asked of real databases."""

import math
import struct
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from components.errors import BeamfleetError
from components.features import Entity
from components.online_store import OnlineStore, Written, open_online_store
from tests.components.online_store.views import CARD, PAIR, SCHEMA, at, new_view, rows_of

VALUES = (1.5, 2, "x", True, at(0))
NONE = (None,) * 5


def asked(*cards: str | None) -> pl.DataFrame:
    return pl.DataFrame({"card_id": cards}, schema={"card_id": pl.String})


def test_a_row_for_each_asked_row_in_order(store: OnlineStore) -> None:
    view = new_view()
    rows = rows_of(view, [("a", at(1), at(1), *VALUES), ("b", at(2), at(2), *NONE)])
    assert store.write(view, rows) == Written(2, 0)
    read = store.read(view, asked("b", "z", "a", None, "a"), at(9))
    assert read.columns == ["card_id", "valid_from", *SCHEMA]
    assert read.schema == rows.drop("created").schema
    assert read.rows() == [
        ("b", at(2), *NONE),
        ("z", None, *NONE),
        ("a", at(1), *VALUES),
        (None, None, *NONE),
        ("a", at(1), *VALUES),
    ]


def test_nothing_is_asked_and_nothing_written(store: OnlineStore) -> None:
    view = new_view()
    assert store.write(view, rows_of(view, [])) == Written(0, 0)
    assert store.read(view, asked(), at(1)).height == 0


def test_a_view_has_rows_once_one_was_written(store: OnlineStore) -> None:
    view, other = new_view(), new_view()
    assert not store.has_rows(view)
    store.write(view, rows_of(view, [("a", at(1), at(1), *VALUES)]), at(2))
    assert store.has_rows(view) and not store.has_rows(other)


def test_the_id_stays_while_the_values_do(store: OnlineStore) -> None:
    first = store.id()
    store.write(new_view(), rows_of(new_view(), []))
    assert store.id() == first and len(first) == 32


FLOATS = [
    *(0.1, -0.0, 5e-324, 1.7976931348623157e308, math.inf, -math.inf),
    struct.unpack("<d", struct.pack("<Q", 0x7FF8000000000123))[0],
]
WORDS = ["", "\0", 'a"b\\', "żółw 🐢", "null", "\n", "'; DROP TABLE online_points; --"]


def test_values_come_back_bit_by_bit(store: OnlineStore) -> None:
    view = new_view()
    whole = [2**63 - 1, -(2**63), 0, 2**53 + 1, None, 1, -1]
    times = [
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        *[at(0.000001)] * 5,
    ]
    rows = rows_of(
        view,
        (
            (f"c{i}", at(1), at(1), FLOATS[i], whole[i], WORDS[i], i % 2 == 0, times[i])
            for i in range(7)
        ),
    )
    store.write(view, rows)
    read = store.read(view, rows, at(1))
    bits = [struct.pack("<d", value) for value in read["mean"]]
    assert bits == [struct.pack("<d", value) for value in FLOATS]
    assert read.drop("mean").equals(rows.drop("mean", "created"))


def test_keys_of_several_columns_and_of_any_text_stay_apart(store: OnlineStore) -> None:
    two = new_view(Entity("one", keys=["a"]), Entity("two", keys=["b"]))
    pairs = [
        ("a|b", "c"),
        ("a", "b|c"),
        ("1:a", "b"),
        ("", "a"),
        ("a", ""),
        ("a\0", "b"),
        (" ", ""),
    ]
    store.write(
        two,
        rows_of(two, [(*p, at(1), at(1), float(i), *VALUES[1:]) for i, p in enumerate(pairs)]),
    )
    read = store.read(two, pl.DataFrame(pairs, schema=["a", "b"], orient="row"), at(1))
    assert read["mean"].to_list() == [*range(7)]


def test_whole_numbers_are_keys(store: OnlineStore) -> None:
    view = new_view(PAIR)
    store.write(view, rows_of(view, [("a", -7, at(1), at(1), *VALUES)]))
    keys = pl.DataFrame({"shop": [-7, 7], "who": ["a", "a"]}, schema_overrides={"shop": pl.Int32})
    assert store.read(view, keys, at(1))["mean"].to_list() == [1.5, None]
    with pytest.raises(BeamfleetError, match="key shop is String, expected Int64"):
        store.read(view, keys.cast({"shop": pl.String}), at(1))


@pytest.mark.parametrize(
    ("ttl_s", "age_us", "there"), [(10, 10_000_000, True), (10, 10_000_001, False), (0, 0, True)]
)
def test_what_is_as_old_as_its_ttl_is_there_and_older_is_not(
    store: OnlineStore, ttl_s: int, age_us: int, there: bool
) -> None:
    view = new_view(ttl_us=ttl_s * 1_000_000)
    store.write(view, rows_of(view, [("a", at(1), at(1), *VALUES)]))
    read = store.read(view, asked("a"), at(1) + timedelta(microseconds=age_us))
    assert read.row(0) == (("a", at(1), *VALUES) if there else ("a", None, *NONE))


def test_a_value_that_begins_later_is_none_yet(store: OnlineStore) -> None:
    view = new_view()
    store.write(view, rows_of(view, [("a", at(5), at(1), *VALUES)]), now=at(1))
    assert store.read(view, asked("a"), at(4.999999)).row(0) == ("a", None, *NONE)
    assert store.read(view, asked("a"), at(5)).row(0) == ("a", at(5), *VALUES)


def test_what_was_written_ahead_hides_nothing_until_its_time(store: OnlineStore) -> None:
    view = new_view()
    rows = [("a", at(1), at(1), *VALUES), ("a", at(5), at(1), *NONE)]
    store.write(view, rows_of(view, rows), now=at(2))
    assert [store.read(view, asked("a"), at(t))["mean"][0] for t in (0, 1, 4, 5)] == [
        *(None, 1.5, 1.5, None)
    ]
    later = ("a", at(5), at(3), 7.5, *VALUES[1:])  # an event of t=3: the window does not end empty
    store.write(view, rows_of(view, [("a", at(3), at(3), 9.0, *VALUES[1:]), later]), now=at(3))
    assert [store.read(view, asked("a"), at(t))["mean"][0] for t in (3, 5)] == [9.0, 7.5]


@pytest.mark.parametrize(
    ("valid_from", "created", "wins"),
    [(3, 3, True), (3, 4, True), (4, 0, True), (3, 2, False), (2, 9, False)],
)
def test_a_late_write_never_wins(
    store: OnlineStore, valid_from: int, created: int, wins: bool
) -> None:
    view = new_view()
    store.write(view, rows_of(view, [("a", at(3), at(3), *VALUES)]))
    other = rows_of(view, [("a", at(valid_from), at(created), 9.5, *VALUES[1:])])
    assert store.write(view, other) == (Written(1, 0) if wins else Written(0, 1))
    assert store.read(view, asked("a"), at(9))["mean"][0] == (9.5 if wins else 1.5)


def test_of_several_rows_of_one_write_the_newest_wins(store: OnlineStore) -> None:
    view = new_view()
    order = [(2, 2), (3, 3), (1, 9), (3, 5), (3, 4)]
    rows = [("a", at(v), at(c), float(c), *VALUES[1:]) for v, c in order]
    assert store.write(view, rows_of(view, rows)) == Written(1, 4)
    assert store.read(view, asked("a"), at(9))["mean"][0] == 5.0


def test_versions_and_views_are_apart(store: OnlineStore) -> None:
    import dataclasses

    view = new_view()
    second = dataclasses.replace(view, version=2, schema={**SCHEMA})
    store.write(view, rows_of(view, [("a", at(1), at(1), *VALUES)]))
    assert store.read(second, asked("a"), at(1)).row(0) == ("a", None, *NONE)
    assert store.read(new_view(), asked("a"), at(1)).row(0) == ("a", None, *NONE)


def test_another_schema_of_the_same_version_is_refused(store: OnlineStore, uri: str) -> None:
    view = new_view()
    store.write(view, rows_of(view, [("a", at(1), at(1), *VALUES)]))
    changed = new_view(schema={**SCHEMA, "count": float}, name=view.name)
    again = open_online_store(uri)
    with pytest.raises(BeamfleetError, match=f"view '{view.name}' version 1 .*new version"):
        again.read(changed, asked("a"), at(1))
    again.close()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda rows: rows.drop("mean"), "no column mean; there are"),
        (lambda rows: rows.with_columns(card_id=None), "row 0 of the rows to write has no card_id"),
        (lambda rows: rows.with_columns(created=None), "has no created"),
        (lambda rows: rows.with_columns(count=pl.lit("1")), "count is String, expected Int64"),
        (lambda rows: rows.with_columns(count=pl.lit(1.5)), "count is Float64, expected Int64"),
        (lambda rows: rows.with_columns(at=pl.lit(5)), "at is Int32, expected Datetime"),
        (lambda rows: rows.with_columns(card_id=pl.lit(1.5)), "key card_id is Float64"),
    ],
)
def test_rows_that_do_not_fit_are_refused(store: OnlineStore, change: Any, says: str) -> None:
    view = new_view()
    rows = change(rows_of(view, [("a", at(1), at(1), *VALUES)]))
    with pytest.raises(BeamfleetError, match=says) as error:
        store.write(view, rows)
    assert f"view '{view.name}' version 1" in str(error.value)


def test_a_time_without_zone_is_refused(store: OnlineStore) -> None:
    with pytest.raises(BeamfleetError, match="has no time zone"):
        store.read(new_view(CARD), asked("a"), datetime(2024, 1, 1))


def test_more_rows_than_one_transaction_or_statement_holds(store: OnlineStore) -> None:
    view = new_view()
    number = pl.int_range(45_000, eager=True)
    rows = pl.DataFrame({"card_id": number.cast(pl.String)}).with_columns(
        valid_from=pl.lit(at(1)), created=pl.lit(at(1)), mean=number.cast(float), count=number,
        word=pl.lit("x"), fresh=pl.lit(True), at=pl.lit(at(2)),
    )  # fmt: skip
    assert store.write(view, rows) == Written(45_000, 0)
    back = store.read(view, rows.reverse(), at(3))
    assert back.equals(rows.reverse().drop("created"))
