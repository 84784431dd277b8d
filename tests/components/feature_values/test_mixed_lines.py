"""Lines of JSON mean the same however they are cut into blocks, in a stream and in a backfill."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from components.errors import BeamfleetError
from components.feature_backfill import json_lines
from components.feature_backfill.backfill import backfill, read_log
from components.feature_stream.keying import keyed_rows
from components.feature_stream.log import read_stream_log
from components.feature_stream.run import run_stream
from components.feature_values.by_kind import is_uniform
from components.features import (
    Entity,
    FeatureView,
    JsonLines,
    Last,
    Lifetime,
    Max,
    Mean,
    Source,
    Sum,
    UnifiedTransformer,
    stream_feature_view,
)

SCHEMA = {"last": int, "total": int, "mean": float, "top": float, "text": str, "flag": bool}
VALUES = [1, 2.0, 1.5, "abc", True, None, 2**53 + 1, 2.0**53, 1e300, 2**70, [1], {"a": 1}]
COLUMNS = ["n", "m", "x", "w", "b"]


def view_on(path: Path, transform: Any = lambda rows: rows, key: type = str) -> FeatureView:
    lines = JsonLines(str(path / "*.jsonl"))

    @stream_feature_view(
        entities=[Entity("k", keys={"k": key})],
        source=Source("ev", batch=lines, stream=lines, event_time="ts", id="id"),
        schema=SCHEMA,
    )
    def mixed(events: Any) -> Any:
        return events | UnifiedTransformer(
            transform, Lifetime(),
            (Last("n"), Sum("m"), Mean("x"), Max("x"), Last("w"), Last("b")),
        )  # fmt: skip

    return mixed


def line(number: int, **values: Any) -> dict[str, Any]:
    time = f"2024-01-01T00:{number // 60:02}:{number % 60:02}Z"
    return {"k": "a", "ts": time, "id": number, **dict.fromkeys(COLUMNS), **values}


GOOD = line(0, n=1, m=1, x=1.0, w="w", b=True)
VALUE = st.fixed_dictionaries({name: st.sampled_from(VALUES) for name in COLUMNS})


def upper(rows: pl.DataFrame) -> pl.DataFrame:
    """Fails for numbers."""
    return rows.with_columns(w=pl.col("w").cast(pl.Null) if rows["w"].dtype == pl.Null
                             else pl.col("w").str.to_uppercase())  # fmt: skip


@given(st.lists(VALUE, max_size=12), st.sets(st.integers(1, 12)), st.booleans())
@settings(max_examples=40, deadline=None)
def test_rows_mean_the_same_however_they_are_cut(
    values: list[dict[str, Any]], cuts: set[int], transforms: bool
) -> None:
    view = view_on(Path("x"), upper) if transforms else view_on(Path("x"))
    rows = [line(n, **one) for n, one in enumerate(values)]
    whole = keyed_rows(view, view.sources[0], rows, {}, proven=True)
    assert len(whole.events) + len(whole.rejected) == len(rows)
    events, rejected = [], []
    edges = sorted({0, len(rows), *(cut for cut in cuts if cut < len(rows))})
    for start, end in pairwise(edges):
        part = keyed_rows(view, view.sources[0], rows[start:end], {}, proven=True)
        events += part.events
        rejected += [(place + start, reason) for place, reason in part.rejected]
    assert [repr(one) for one in events] == [repr(one) for one in whole.events]
    assert rejected == whole.rejected


@pytest.mark.parametrize("chunk", [1, 300, 1 << 20])
def test_stream_and_backfill_agree_on_mixed_lines(
    chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_lines, "CHUNK_BYTES", chunk)
    (tmp_path / "in").mkdir()
    mixed = [{name: value} for name in COLUMNS for value in VALUES]
    rows = [GOOD, *(line(n + 1, **one) for n, one in enumerate(mixed)), line(100, k=1.5)]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "in" / "a.jsonl").write_text(lines)
    view, root = view_on(tmp_path / "in"), tmp_path / "store"
    report = backfill(view, root)
    streamed = run_stream([view], None, tmp_path / "s.db", root, until_idle=True)
    counts = streamed.views[0].counts
    assert report.rejected == counts.rejected > 10
    assert report.events == counts.events > 10
    log = read_log(view, root).collect()
    followed = read_stream_log(view, root).select(log.columns).sort("k", "valid_from").collect()
    assert_frame_equal(followed, log, rel_tol=1e-9)
    rejects = pl.read_parquet(Path(report.folder) / "rejects.parquet")
    assert rejects["file"].unique().to_list() == [str(tmp_path / "in" / "a.jsonl")]


def test_an_integer_is_exact_beside_a_float(tmp_path: Path) -> None:
    rows = [GOOD, line(1, n=2**53 + 1), line(2, m=2.0)]
    view = view_on(tmp_path)
    made = keyed_rows(view, view.sources[0], rows, {})
    assert [event.values[0] for _, event in made.events] == [1, 2**53 + 1, None]
    assert [event.values[1] for _, event in made.events] == [1, None, 2]


def test_if_nothing_fits_the_backfill_says_why(tmp_path: Path) -> None:
    rows = [line(n, x="abc") for n in range(3)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(BeamfleetError, match=r"a\.jsonl: .*Mean reads 'x', which is String"):
        backfill(view_on(tmp_path), tmp_path / "store")


@pytest.mark.parametrize(
    ("lines", "uniform"),
    [
        (['{"x": 1}', '{"x": 2}'], True),
        (['{"x": 1.0}', '{"x": 2e3}', '{"x": null}'], True),
        (['{"x": 1.0}', '{"x": 2}'], False),
        (['{"x": "a"}', '{"x" : 2 }'], False),
        (['{"x": "a"}', '{"x":true}'], False),
        (['{"x": 1.0}', '{"\\u0078": 2}'], False),
        (['{"x": "\\u00e9", "y": 1}'], True),
    ],
)
def test_lines_of_one_kind_are_told_apart(lines: list[str], uniform: bool) -> None:
    text = "\n".join(lines)
    assert is_uniform(text, pl.read_ndjson(text.encode(), infer_schema_length=None)) is uniform
