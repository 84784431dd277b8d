"""Order and counts of captions."""

import pytest

from components.captioning.caption import Caption, distinct, ranked


def test_repeated_captions_are_counted_and_the_likeliest_comes_first():
    written = [Caption("a", -3.0), Caption("b", -1.0), Caption("a", -2.5), Caption("a", -3.0)]
    assert distinct(written) == (Caption("b", -1.0), Caption("a", -2.5, times=3))


def test_the_ranker_orders_and_the_captioners_place_stays():
    captions = (Caption("b", -1.0), Caption("a", -2.5, times=3))
    first, second = ranked(captions, [0.2, 0.3], [0.1, 0.9])
    assert (first.text, first.place, first.times, first.probability) == ("a", 2, 3, 0.9)
    assert (second.text, second.place, second.similarity) == ("b", 1, 0.2)


def test_captions_that_fit_alike_stay_in_the_captioners_order():
    captions = (Caption("b", -1.0), Caption("a", -2.5))
    assert [one.place for one in ranked(captions, [0.2, 0.2], [0.5, 0.5])] == [1, 2]


def test_a_caption_without_score_is_an_error():
    with pytest.raises(ValueError):
        ranked((Caption("b", -1.0), Caption("a", -2.5)), [0.2], [1.0])
