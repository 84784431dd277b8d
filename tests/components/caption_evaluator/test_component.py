"""The TFX component: parameters, driver, executor, and what TFMA sees."""

import json
from pathlib import Path
from typing import Any

import pytest

from components.errors import BeamfleetError
from tests.components.caption_evaluator.results import (
    BLUE,
    RED,
    dead,
    image,
    ranked,
    write_result,
)
from tests.components.entity_evaluator.worlds import store

pytestmark = pytest.mark.e2e


def node(**parameters: Any) -> Any:
    from tfx.types import channel, standard_artifacts

    from components.caption_evaluator.component import CaptionEvaluator

    return CaptionEvaluator(
        inference_result=channel.Channel(type=standard_artifacts.InferenceResult),
        model=channel.Channel(type=standard_artifacts.Model),
        **parameters,
    )


def do(folder: Path, node: Any, model: str, **results: str) -> tuple[Any, Any, dict[str, Any]]:
    """Runs driver and executor; gives evaluation, blessing and the execution properties."""
    from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
    from tfx.orchestration.portable.data_types import ExecutionInfo
    from tfx.types import standard_artifacts

    inputs: dict[str, list[Any]] = {"model": [standard_artifacts.Model()]}
    inputs["model"][0].uri = model
    for name, uri in results.items():
        inputs[name] = [standard_artifacts.InferenceResult()]
        inputs[name][0].uri = uri
    properties = dict(node.exec_properties)
    driven = node.DRIVER_CLASS(None).run(
        ExecutionInfo(input_dict=inputs, exec_properties=properties)
    )
    for name, value in driven.exec_properties.items():
        properties[name] = value.int_value
    outputs = {name: [made.type()] for name, made in node.outputs.items()}
    for name, [artifact] in outputs.items():
        artifact.uri = str(folder / name)
        Path(artifact.uri).mkdir(parents=True)
    context = BaseBeamExecutor.Context(
        beam_pipeline_args=["--runner=FnApiRunner"], tmp_dir=str(folder / "tmp")
    )
    node.EXECUTOR_SPEC.executor_class(context).Do(inputs, outputs, properties)
    [evaluation], [blessing] = outputs["evaluation"], outputs["blessing"]
    return evaluation, blessing, properties


def scenes(folder: Path, right: int, colours: str = "red") -> str:
    rows = [
        image(f"{i}", ranked(RED if i < right else BLUE, RED), RED, objects=i % 2, colours=colours)
        for i in range(10)
    ]
    rows.append(image("photo", ranked(RED, similarity=0.1), None, objects=None, colours=None))
    return write_result(folder, rows, [dead("broken")])


def test_an_evaluation_is_recorded_blessed_and_opened_by_tfma(tmp_path: Path) -> None:
    made = node(
        thresholds={"exact_match": {"min": 0.8, "max_drop": 0.0}},
        slices=["objects", ["objects", "colours"]],
    )
    model = store(tmp_path / "model", {"a": "new"})
    result = scenes(tmp_path / "result", right=8)
    evaluation, blessing, _ = do(tmp_path / "out", made, model, inference_result=result)
    assert (Path(blessing.uri) / "BLESSED").read_text() == ""
    assert blessing.get_int_custom_property("blessed") == 1
    assert blessing.get_int_custom_property("unchanged") == 0
    assert blessing.get_string_custom_property("current_model") == model
    counts = {"rows_in": 12, "rows_evaluated": 10, "rows_without_reference": 1, "rows_failed": 1}
    for name, number in counts.items():
        assert evaluation.get_int_custom_property(name) == number
    overall = json.loads(evaluation.get_string_custom_property("overall"))
    assert overall["candidate"]["exact_match"] == 0.8
    ranking = json.loads(evaluation.get_string_custom_property("ranking"))
    assert (ranking["first"], ranking["second"], ranking["value"]) == (0.8, 0.8, 0)
    assert "max_drop of exact_match was not asked for" in (
        evaluation.get_string_custom_property("notes")
    )

    import tensorflow_model_analysis as tfma

    seen = {}
    for key, values in tfma.load_eval_result(evaluation.uri).slicing_metrics:
        seen[key] = {name: value["doubleValue"] for name, value in values[""][""].items()}
    assert set(seen) == {
        (), (("objects", "0"),), (("objects", "1"),),
        (("colours", "red"), ("objects", "0")), (("colours", "red"), ("objects", "1")),
    }  # fmt: skip
    everything = seen[()]
    assert everything["example_count"] == 11
    for name in ("exact_match", "own_order_exact_match", "oracle_exact_match", "clip_score"):
        assert everything[name] == pytest.approx(overall["candidate"][name])
    assert everything["oracle_exact_match"] == 1
    assert seen[(("objects", "0"),)]["exact_match"] == 0.8


def test_against_the_pushed_version(tmp_path: Path) -> None:
    from components.pusher.versions import PushedVersions

    destination = str(tmp_path / "pushed")
    first = store(tmp_path / "first", {"a": "old"})
    PushedVersions(destination).push(first, first, baseline_version=0, keep=3)
    second = store(tmp_path / "second", {"a": "new"})
    channel = node().inputs["inference_result"]
    made = node(
        thresholds={"exact_match": {"min": 0.5, "max_drop": 0.05}},
        push_destination=destination,
        baseline_result=channel,
    )
    good, worse = scenes(tmp_path / "good", 9), scenes(tmp_path / "worse", 8)
    evaluation, blessing, properties = do(
        tmp_path / "out", made, second, inference_result=worse, baseline_result=good
    )
    assert properties["baseline_version"] == 1
    assert evaluation.get_int_custom_property("baseline_version") == 1
    reason = "exact_match is 0.8, worse than the pushed version's 0.9 by more than 0.05"
    assert (Path(blessing.uri) / "NOT_BLESSED").read_text() == reason
    assert blessing.get_string_custom_property("reason") == reason
    assert (blessing.get_int_custom_property("blessed")) == 0

    same = store(tmp_path / "same", {"a": "old"})
    _, blessing, _ = do(tmp_path / "again", made, same, inference_result=good, baseline_result=good)
    assert blessing.get_int_custom_property("blessed") == 1
    assert blessing.get_int_custom_property("unchanged") == 1
    assert blessing.get_string_custom_property("reason") == "identical to what is pushed"


def test_nothing_captioned_is_an_evaluation_too(tmp_path: Path) -> None:
    result = write_result(tmp_path / "result", [], [dead("x")])
    evaluation, blessing, _ = do(
        tmp_path / "out", node(slices=["objects"]), "", inference_result=result
    )
    assert (Path(blessing.uri) / "NOT_BLESSED").exists()
    assert evaluation.get_int_custom_property("rows_failed") == 1


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"thresholds": {"exact": {"min": 1}}}, r"unknown metrics \['exact'\]"),
        ({"thresholds": {"bleu": {"at_least": 1}}}, "expected min, max or max_drop"),
        ({"thresholds": {"bleu": {"max": 40}}}, "higher is better"),
        ({"thresholds": {"bleu": {"min": 0.4}}}, "scale of 0 to 100, write 40"),
        ({"thresholds": {"exact_match": {"min": 90}}}, "90 is not on its scale, 0 to 1"),
        ({"thresholds": {"clip_score": {"min": 30}}}, r"not on its scale, 0 to 2\.5"),
        ({"confidence": 95}, "confidence must be in"),
        ({"slices": [[]]}, "at least one column"),
        ({"slices": ["caption"]}, r"slices \['caption'\] would collide"),
        (
            {"thresholds": {"bleu": {"max_drop": 1}}, "push_destination": "/models"},
            "max_drop of bleu compares with the version in /models: give baseline_result",
        ),
    ],
)
def test_nonsense_is_refused_when_the_node_is_made(
    parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(BeamfleetError, match=message):
        node(**parameters)
