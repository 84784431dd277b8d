"""The end of a run that captioned images, on the terminal."""

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from components.caption_evaluator.config import CaptionEvaluationConfig
from components.caption_evaluator.evaluate import CaptionEvaluationTask, evaluate
from components.caption_evaluator.executor import record
from pipelines.metadata import Artifact, Node, Run
from pipelines.summary import summarise
from pipelines.summary_view import show_summary
from tests.components.caption_report.results import row, write_result

RIGHT, WRONG = "a small red circle", "a large blue square"


class Properties:
    """An artifact of TFX, as far as an executor writes to it."""

    def __init__(self, uri: Path) -> None:
        self.uri, self.properties = str(uri), dict[str, Any]()

    def __getattr__(self, name: str) -> Any:
        return self.properties.__setitem__


@pytest.fixture
def make_run(tmp_path: Path):
    def make(rows, reason="", note="", pushed="", **config: Any) -> Run:
        uri = write_result(tmp_path / "result", rows)
        evaluation = Properties(tmp_path / "evaluation")
        task = CaptionEvaluationTask(uri, evaluation.uri, pushed or None, 3 if pushed else 0)
        settings = CaptionEvaluationConfig.from_dict(config)
        found = evaluate(task, settings)
        record(evaluation, found, settings, 0)
        reason = "; ".join(found.objections)
        why = f"the model is not blessed: {reason}"
        parameters = {"thresholds": json.dumps(config.get("thresholds", {}))}
        outputs = {
            "BulkInferrer": [Artifact("inference_result", "T", uri)],
            "CaptionEvaluator": [
                Artifact("evaluation", "T", evaluation.uri, evaluation.properties),
                Artifact("blessing", "T", "", {"blessed": found.blessed, "reason": reason}),
            ],
            "CaptionReport": [],
            "Pusher": [Artifact("pushed_model", "T", "", {"pushed": 0, "reason": why})],
        }
        nodes = tuple(
            Node(name, "done", 1.0, 2.0, tuple(made), parameters={**parameters, "note": note})
            for name, made in outputs.items()
        )
        return Run("20250101-000000", "captions", str(tmp_path / "my runs"), "done", nodes)

    return make


def shown(run: Run, **options: Any) -> str:
    """Lines, each with single spaces."""
    console = Console(file=io.StringIO(), width=200)
    show_summary(summarise(run), console, **options)
    return "\n".join(" ".join(line.split()) for line in console.file.getvalue().splitlines())


def images(right: int, wrong: int, reference: str | None = RIGHT, **columns: Any) -> list[Any]:
    texts = [RIGHT] * right + [WRONG] * wrong
    return [
        row(f"/p/{i}.png", text, RIGHT, reference=reference, **columns)
        for i, text in enumerate(texts)
    ]


def test_the_rest_of_the_images_is_shown_by_a_command_that_names_the_run_and_its_root(make_run):
    run = make_run(images(12, 0))
    assert f"or `beamfleet show 20250101-000000 --root '{run.root}' --all`" in shown(run)
    assert "Image: 11.png" not in shown(run)
    assert "Image: 11.png" in shown(run, everything=True)


def test_the_note_of_the_pipeline_is_shown(make_run):
    assert "\nnote for [drawn] scenes only\n" in shown(
        make_run(images(1, 0), note="for [drawn] scenes only")
    )


def test_each_metric_has_its_interval_its_scale_and_what_it_needs(make_run, tmp_path):
    thresholds = {"exact_match": {"min": 0.6, "max_drop": 0.02}, "coverage": {"min": 0.95}}
    run = make_run(images(30, 10), thresholds=thresholds)
    text = shown(run)
    for line in (
        "evaluation 40 images compared with a reference, 0 without one, 0 failed; blessed",
        "exact match 0.75 (0.598 to 0.858; needs 0.6)",
        "exact match, captioner's order 0.75 (0.598 to 0.858)",
        "exact match, any caption 1 (0.912 to 1)",
        "CLIP score 0.75 of 2.5 (0.75 to 0.75)",
        "coverage 1 (0.912 to 1; needs 0.95)",
    ):
        assert f"\n{line}\n" in f"\n{text}\n", text
    assert re.search(r"\nBLEU 7\d\.\d+ of 100 \([56]\d\.?\d? to [78]\d\.?\d?\)\n", text)
    assert summarise(run).to_dict()["captions"]["intervals"]["bleu"]


def test_the_pushed_version_stands_beside_what_it_may_lose(make_run, tmp_path):
    pushed = write_result(tmp_path / "pushed", images(39, 1))
    thresholds = {"exact_match": {"max_drop": 0.1}}
    text = shown(make_run(images(38, 2), thresholds=thresholds, pushed=pushed))
    assert "exact match 0.95 (0.835 to 0.986; pushed 0.975, may lose 0.1)" in text
    assert "CLIP score 0.75 of 2.5 (0.75 to 0.75; pushed 0.75)" in text


def test_that_there_are_no_references_is_said_once(make_run):
    thresholds = {"exact_match": {"min": 0.85, "max_drop": 0.02}, "bleu": {"min": 50}}
    text = shown(make_run(images(9, 0, None), thresholds=thresholds, slices=["colours"]))
    line = "evaluation none: no reference captions (nothing is pushed without)"
    assert f"\n{line}\n" in text
    assert text.count("reference") == 1
    assert "pushed no new version, nothing is pushed: the model is not blessed\n" in text
    assert "notes" not in text


def test_the_worst_slices_come_first(make_run):
    rows = [
        one
        for objects in range(1, 13)
        for one in images(*((2, 4) if objects == 5 else (objects, 2)), objects=objects)
    ]
    run = make_run(rows, slices=["objects"])
    lines = shown(run).splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("worst slices "))
    assert lines[first : first + 3] == [
        "worst slices objects=5: exact match 0.3333 (0.0968 to 0.7; 6 images)",
        "objects=1: exact match 0.3333 (0.0615 to 0.792; 3 images)",
        "objects=2: exact match 0.5 (0.15 to 0.85; 4 images)",
    ]
    assert lines[first + 9].startswith("objects=10: ")
    evaluation = summarise(run).paths["caption evaluation"]
    assert lines[first + 10] == f"2 more slices: {evaluation}/slices.parquet"
    assert len(summarise(run).captions["slices"]) == 12
