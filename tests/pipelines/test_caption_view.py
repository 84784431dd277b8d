"""The end of a run that captioned images, on the terminal."""

import io
import json
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
