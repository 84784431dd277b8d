"""What the digest of a plan is over; no TFX."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from pipelines import plan, steps
from pipelines.pipeline import Pipeline
from pipelines.plan import NodePlan

NODE = NodePlan(
    name="Trainer",
    compiled=b"\x00node",
    inputs={"examples": ("ExampleGen", "examples")},
    outputs={"model": b"\xff"},
    parameters={"min_rows": "7"},
    driver="components.pusher.driver.Driver",
    execution=b"\x01",
    contexts=(b"\x02", b""),
)


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    file = tmp_path / "schema.pbtxt"
    file.write_text("feature {}")
    return file


def digest(rows: Path, schema: Path, name: str = "shop", **options: Any) -> str:
    pipeline = Pipeline(name, root=rows.parent / "root").from_csv(rows, **options)
    return plan.digest_of(pipeline.with_schema(schema).generate_statistics().cache())


def test_the_same_pipeline_has_the_same_digest(rows: Path, schema: Path) -> None:
    assert digest(rows, schema) == digest(rows, schema) != ""


def test_every_option_counts(rows: Path, schema: Path) -> None:
    options: list[dict[str, Any]] = [
        {}, {"name": "other"}, {"delimiter": ";"}, {"null_values": ["", "?", "-"]},
        {"null_values": ["", "?,-"]}, {"max_rejected_share": 1}, {"max_rejected_share": 1.0},
        {"types": {"price": "double"}},
    ]  # fmt: skip
    assert len({digest(rows, schema, **given) for given in options}) == len(options)


def test_a_file_that_a_step_names_counts(rows: Path, schema: Path) -> None:
    before = digest(rows, schema)
    schema.write_text("feature { }")
    assert digest(rows, schema) != before


def test_the_order_and_the_kind_of_steps_count(rows: Path) -> None:
    start = lambda: Pipeline("shop", root=rows.parent).from_csv(rows)  # noqa: E731
    made = [
        start(),
        start().generate_statistics(),
        start().cache(),
        start().generate_statistics().cache(),
        start().with_beam_args("--runner=FlinkRunner"),
        start().generate_statistics().when("examples.rows_train >= 1"),
    ]
    assert len({plan.digest_of(one) for one in made}) == len(made)


@pytest.mark.parametrize("what", ["components", "pipelines", "library"])
def test_another_release_has_another_digest(
    rows: Path, schema: Path, what: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = digest(rows, schema)
    if what == "components":
        monkeypatch.setattr(plan, "own_fingerprint", lambda: "another release")
    elif what == "pipelines":
        (tmp_path / "pipelines").mkdir()
        monkeypatch.setattr(plan, "_HERE", tmp_path / "pipelines")
    else:
        monkeypatch.setattr("importlib.metadata.version", lambda name: "99")
    assert digest(rows, schema) != before


def test_what_cannot_be_told_has_no_digest(rows: Path) -> None:
    class Number(float):
        """Its text need not say all of it."""

    for given in (object(), Number(1), {1, 2}, {"a": [object()]}):
        pipeline = Pipeline("shop", root=rows.parent).from_csv(rows)
        pipeline._record(steps.Evaluate(options={"given": given}))
        assert plan.digest_of(pipeline) == ""


def test_a_plan_is_read_as_it_was_saved_and_only_under_its_digest(tmp_path: Path) -> None:
    plan.save(tmp_path, "digest", (NODE,))
    assert plan.load(tmp_path, "digest") == (NODE,)
    assert plan.load(tmp_path, "other") == ()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"digest": "d", "nodes": [{}]}', "\xff"])
def test_a_file_that_is_no_plan_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / plan.FILE).write_text(text, encoding="latin-1")
    assert plan.load(tmp_path, "d") == ()


def test_every_field_is_kept(tmp_path: Path) -> None:
    plan.save(tmp_path, "digest", (dataclasses.replace(NODE, driver="", inputs={}),))
    assert plan.load(tmp_path, "digest")[0].driver == ""
