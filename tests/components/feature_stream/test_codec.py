"""State goes through JSON unchanged, and code never."""

import pickle
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import BeamfleetError
from components.feature_stream.codec import decoded, encoded
from components.feature_stream.state import Event, KeyState

LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.binary(),
    st.datetimes(), st.datetimes(timezones=st.just(UTC)), st.dates(), st.timedeltas(),
)  # fmt: skip
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner), st.tuples(inner, inner), st.dictionaries(st.text(), inner),
        st.frozensets(st.integers()), st.sets(st.text()),
    ),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(VALUES)
def test_what_is_encoded_comes_back(value: Any) -> None:
    assert decoded(encoded(value)) == value


def test_kinds_stay_apart() -> None:
    value = (1, 1.0, True, "1", [1], (1,), date(2024, 1, 1), datetime(2024, 1, 1), timedelta(1))
    assert list(map(type, decoded(encoded(value)))) == list(map(type, value))


def test_a_state_comes_back() -> None:
    event = Event(5, -7, None, (1.5, None, "ü"))
    state = KeyState([event], ((1, 2.0), None), 3, 4, 6)
    assert KeyState.from_bytes(state.to_bytes()) == state


def test_objects_are_refused_and_code_is_not_run() -> None:
    with pytest.raises(BeamfleetError, match="cannot keep KeyState"):
        encoded([KeyState()])
    with pytest.raises(ValueError, match="decode"):
        decoded(pickle.dumps((1, 2)))
