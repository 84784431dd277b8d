"""Threads ahead of the consumer."""

import threading
import time

import pytest

from components.images.ahead import map_ahead


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_results_are_in_order(threads):
    def late(number):
        time.sleep(0.01 if number % 5 == 0 else 0)
        return number * 2

    found = list(map_ahead(late, range(300), threads, size=lambda _: 1))
    assert found == list(range(0, 600, 2))


def test_a_slow_item_does_not_stop_the_others():
    release, done = threading.Event(), []

    def wait_for_the_others(number):
        if number == 0:
            assert release.wait(10)
        else:
            done.append(number)
            if len(done) == 20:
                release.set()
        return number

    assert list(map_ahead(wait_for_the_others, range(30), 3, lambda _: 0)) == list(range(30))


def test_what_waits_stays_within_the_budget():
    finished = [threading.Event() for _ in range(200)]

    def items():
        for number in range(200):
            yield number
            assert finished[number].wait(10)  # so that the threads are always done

    def large(number):
        finished[number].set()
        return number

    for number in map_ahead(large, items(), 2, size=lambda _: 10, max_size=50):
        begun = sum(event.is_set() for event in finished)
        assert begun - number <= 7  # five fit, one is too many, and one may not be marked as done


def test_an_error_is_raised_where_its_result_is_due():
    def fail(number):
        if number == 3:
            raise ValueError("three")
        return number

    results = map_ahead(fail, range(10), 2, size=lambda _: 1)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(results)
