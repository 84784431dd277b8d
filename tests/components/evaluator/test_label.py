"""A label that a preprocessing has made a number is the place of its class."""

import numpy as np
import pytest

from components.evaluator.label import AddLabel


@pytest.mark.parametrize(
    ("classes", "label", "expected"),
    [
        ((3, 4, 8), [0, 1, 2], [3, 4, 8]),
        (("a", "b"), [1, 0], ["b", "a"]),
        ((0, 1), [0, 1], [0, 1]),
        ((), [0.5, 7.0], [0.5, 7.0]),
    ],
)
def test_places_become_classes(classes, label, expected):
    assert AddLabel("graph", "y", classes)._named(np.array(label)).to_pylist() == expected


@pytest.mark.parametrize("classes", [(3, 4, 8), (0, 1), ("a", "b")])
def test_a_place_without_a_class_is_none_of_them(classes):
    found = AddLabel("graph", "y", classes)._named(np.array([-1, 3, 4])).to_pylist()
    assert not set(found) & set(classes)
