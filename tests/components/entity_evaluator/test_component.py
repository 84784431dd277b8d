"""The TFX component: parameters, driver and executor."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from components.errors import BeamfleetError
from tests.components.entity_evaluator.worlds import census, examples, store

pytestmark = pytest.mark.e2e


def test_driver_and_executor_evaluate_against_the_pushed_version(tmp_path: Path) -> None:
    from tfx.components.util.examples_utils import set_payload_format
    from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
    from tfx.orchestration.portable.data_types import ExecutionInfo
    from tfx.proto import example_gen_pb2
    from tfx.types import channel, standard_artifacts

    from components.entity_evaluator.component import EntityEvaluator
    from components.entity_evaluator.driver import Driver
    from components.entity_evaluator.executor import Executor
    from components.pusher.versions import PushedVersions

    table = census({"a": 300, "b": 300}, {"new": 0.1, "old": 0.2, "fallback": 0.25})
    split = examples(tmp_path / "examples", table)
    destination = str(tmp_path / "pushed")
    first = store(tmp_path / "first", {"a": "old"})
    PushedVersions(destination).push(first, first, baseline_version=0, keep=3)

    data = standard_artifacts.Examples()
    data.uri, data.split_names = split.uri, '["train", "eval"]'
    data.set_int_custom_property("rows_eval", 600)
    set_payload_format(data, example_gen_pb2.FORMAT_PARQUET)
    model = standard_artifacts.Model()
    model.uri = store(tmp_path / "model", {"a": "new", "b": "new"})
    node = EntityEvaluator(
        examples=channel.Channel(type=standard_artifacts.Examples),
        model=channel.Channel(type=standard_artifacts.Model),
        thresholds={"accuracy": {"min": 0.6, "max_drop": 0.02}},
        push_destination=destination,
    )
    inputs = {"examples": [data], "model": [model]}
    properties = dict(node.exec_properties)
    driven = Driver(None).run(ExecutionInfo(input_dict=inputs, exec_properties=properties))
    assert driven.exec_properties["baseline_version"].int_value == 1
    properties["baseline_version"] = 1

    outputs = {name: [made.type()] for name, made in node.outputs.items()}
    for name, [artifact] in outputs.items():
        artifact.uri = str(tmp_path / "out" / name)
        Path(artifact.uri).mkdir(parents=True)
    context = BaseBeamExecutor.Context(
        beam_pipeline_args=["--runner=FnApiRunner"], tmp_dir=str(tmp_path / "tmp")
    )
    Executor(context).Do(inputs, outputs, properties)

    [blessing], [evaluation] = outputs["blessing"], outputs["evaluation"]
    assert (Path(blessing.uri) / "BLESSED").exists()
    assert blessing.get_int_custom_property("blessed") == 1
    assert blessing.get_int_custom_property("unchanged") == 0
    assert evaluation.get_int_custom_property("entities_blessed") == 2
    assert evaluation.get_int_custom_property("rows_evaluated") == 600
    assert json.loads(evaluation.get_string_custom_property("overall"))["composed"]["accuracy"] > 0
    [composed] = outputs["composed_model"]
    assert composed.get_string_custom_property("candidate_uri") == model.uri
    assert composed.get_int_custom_property("baseline_version") == 1
    rows = pq.read_table(Path(evaluation.uri) / "entities.parquet").to_pylist()
    assert {row["entity"]: row["verdict"] for row in rows} == {"a": "blessed", "b": "blessed"}
    assert not any(np.isnan(row["p_value"]) for row in rows)

    pushed = PushedVersions(destination).push(composed.uri, model.uri, 1, keep=3)
    assert pushed.number == 2
    again = Driver(None).run(ExecutionInfo(input_dict=inputs, exec_properties=properties))
    assert again.exec_properties["baseline_version"].int_value == 1, "cached on a second run"


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"metrics": ["acuracy"]}, r"unknown metrics \['acuracy'\]"),
        ({"confidence": 95}, "confidence must be in"),
        ({"thresholds": {"accuracy": {"at_least": 1}}}, "expected min, max or max_drop"),
        ({"thresholds": {"log_loss": {"min": 0.1}}}, "lower is better"),
        ({"thresholds": {"accuracy": {"min": float("nan")}}}, "expected finite numbers"),
    ],
)
def test_nonsense_is_refused_when_the_node_is_made(
    parameters: dict[str, object], message: str
) -> None:
    from tfx.types import channel, standard_artifacts

    from components.entity_evaluator.component import EntityEvaluator

    with pytest.raises(BeamfleetError, match=message):
        EntityEvaluator(
            examples=channel.Channel(type=standard_artifacts.Examples),
            model=channel.Channel(type=standard_artifacts.Model),
            **parameters,  # type: ignore[arg-type]
        )
