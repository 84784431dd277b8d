"""Writes from another process: python -m tests.components.online_store.writing URI VIEW ROWS."""

import sys

import polars as pl

from components.features import FeatureView
from components.online_store import open_online_store
from tests.components.online_store.views import at, new_view, rows_of


def written(uri: str, view: str, part: list[tuple[str, int, int]], now: int) -> None:
    """Writes points (card, valid_from, created), each by itself."""
    store = open_online_store(uri)
    for one in part:
        store.write(new_view(name=view), points(new_view(name=view), [one]), now=at(now))
    store.close()


def points(view: FeatureView, found: list[tuple[str, int, int]]) -> pl.DataFrame:
    """A value says of which point it is."""
    values = (True, at(0))
    rows = ((k, at(v), at(c), float(v), c, f"{k} {v} {c}", *values) for k, v, c in found)
    return rows_of(view, rows)


def many(view: FeatureView, count: int) -> pl.DataFrame:
    return points(view, [(f"c{i}", 1, 1) for i in range(count)])


if __name__ == "__main__":
    uri, name, count = sys.argv[1:]
    rows = many(new_view(name=name), int(count))
    opened = open_online_store(uri)
    opened.read(new_view(name=name), rows.head(1), at(1))
    print("writing", flush=True)
    opened.write(new_view(name=name), rows)
    print("written", flush=True)
