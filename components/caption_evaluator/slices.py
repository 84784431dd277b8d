"""The metrics of each slice, and of the variants of an A/B test against each other."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from components.caption_evaluator.compare import exact_matches, pair, paired, unpaired
from components.caption_evaluator.config import METRICS
from components.caption_evaluator.intervals import intervals
from components.caption_evaluator.score import count, measure

SCHEMA = pa.schema(
    [
        ("slice", pa.string()),
        ("columns", pa.list_(pa.string())),
        ("values", pa.list_(pa.string())),
        *((name, pa.int64()) for name in (
            "rows_in", "rows_evaluated", "rows_without_reference", "rows_failed")),
        *((name, pa.float64()) for name in METRICS),
        *((f"{name}_{end}", pa.float64()) for name in METRICS for end in ("low", "high")),
    ]
)  # fmt: skip
"""slice: "objects=2, colours=red", or "overall". values: null where the source had none.
<metric>_low, _high: its interval, see `intervals`."""


def slice_table(
    images: pa.Table, slicings: Sequence[Sequence[str]], unknown: frozenset[str], confidence: float
) -> pa.Table:
    """One row overall, and one a slice, in the order of the slicings and then of the values.

    Args:
      images: as `score_images` gives them.
      slicings: columns that are crossed.
      unknown: columns that dead letters should have, but do not: slices by these know neither
        rows_in nor rows_failed nor coverage, which are null.
      confidence: of the intervals.
    """
    rows = [_row(images, (), (), confidence)]
    for columns in slicings:
        lost = not unknown.isdisjoint(columns)
        for values, part in cut(_captioned(images) if lost else images, columns):
            row = _row(part, columns, values, confidence)
            nothing = {"rows_in": None, "rows_failed": None, "coverage": None}
            rows.append(row | nothing if lost else row)
    return pa.Table.from_pylist(rows, SCHEMA)


def cut(
    images: pa.Table, columns: Sequence[str]
) -> Iterator[tuple[tuple[str | None, ...], pa.Table]]:
    """Values of the columns and the images that have them, sorted, null first."""
    places: dict[tuple[str | None, ...], list[int]] = {}
    words = (images.column(column).to_pylist() for column in columns)
    for place, values in enumerate(zip(*words, strict=True)):
        places.setdefault(values, []).append(place)
    for values in sorted(places, key=lambda v: tuple((one is not None, one or "") for one in v)):
        yield values, images.take(pa.array(places[values]))


def variant_differences(images: pa.Table, confidence: float) -> list[dict[str, Any]]:
    """Each two variants of an A/B test: exact match of `variant` minus that of `against`.

    Paired where the smaller of the two captioned images of the other only, as a shadow does; else
    the images are others, and so is the test. "champion" is what others are compared with. Each
    test stands alone.
    """
    parts = {values[0] or "": part for values, part in cut(_evaluated(images), ["variant"])}
    names = sorted(parts, key=lambda name: (name != "champion", name))
    found = []
    for against, variant in itertools.combinations(names, 2):
        one, other = parts[variant], parts[against]
        common = pair(one, other)
        compare = unpaired
        if common[0].num_rows == min(one.num_rows, other.num_rows):
            compare, (one, other) = paired, common
        difference = compare(exact_matches(one), exact_matches(other), confidence)
        found.append({"variant": variant, "against": against, **asdict(difference)})
    return found


def _row(
    images: pa.Table,
    columns: Sequence[str],
    values: Sequence[str | None],
    confidence: float,
) -> dict[str, Any]:
    ends = {name: found or (None, None) for name, found in intervals(images, confidence).items()}
    named = ", ".join(
        f"{c}={'null' if v is None else v}" for c, v in zip(columns, values, strict=True)
    )
    return {
        "slice": named or "overall",
        "columns": list(columns),
        "values": list(values),
        **count(images),
        **measure(images),
        **{f"{name}_low": low for name, (low, _) in ends.items()},
        **{f"{name}_high": high for name, (_, high) in ends.items()},
    }


def _captioned(images: pa.Table) -> pa.Table:
    return images.filter(pc.is_valid(images.column("caption")))


def _evaluated(images: pa.Table) -> pa.Table:
    return images.filter(pc.is_valid(images.column("exact_match")))
