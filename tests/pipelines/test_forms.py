"""Resolvers, importers and conditions under both orchestrators, on ml-metadata's SQLite."""

from pathlib import Path

import pytest
from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.dsl.experimental.conditionals.conditional import Cond
from tfx.orchestration import metadata as tfx_metadata
from tfx.orchestration.pipeline import Pipeline as TfxPipeline
from tfx.types.channel import Channel
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.types.standard_artifacts import HyperParameters

from components.errors import BeamfleetError
from components.pusher.versions import PushedVersions
from pipelines import metadata, runner, steps
from pipelines.nodes.graph import Graph
from pipelines.nodes.models import with_hyperparameters
from pipelines.pipeline import Pipeline, from_csv
from pipelines.progress import Silent
from pipelines.summary import Summary, summarise

pytestmark = pytest.mark.e2e
TRAIN = "tests.components.entity_trainer.functions.constant"


def executed(pipeline: Pipeline, orchestrator: str = "local") -> Summary:
    run = runner.new_run_id(pipeline.root)
    runner.run(pipeline.build(), run, orchestrator, Silent())
    return summarise(metadata.read_run(pipeline.root, run))


def read_by(root: Path, node: str, key: str) -> list[str]:
    """Addresses of what the node's last execution read under that name."""
    config = metadata_store_pb2.ConnectionConfig()
    config.sqlite.filename_uri = str(root / metadata.DATABASE)
    store = MetadataStore(config)
    kind = next(t for t in store.get_execution_types() if t.name.endswith(f".{node}"))
    last = max(e.id for e in store.get_executions_by_type(kind.name))
    events = store.get_events_by_execution_ids([last])
    numbers = [e.artifact_id for e in events if e.path.steps and e.path.steps[0].key == key]
    return [artifact.uri for artifact in store.get_artifacts_by_id(numbers)]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("data") / "rows.csv"
    lines = [f"{'ab'[n % 2]},{n},{n % 2}.5" for n in range(80)]
    file.write_text("shop,price,sales\n" + "\n".join(lines) + "\n")
    return file


def sales(root: Path, data: Path) -> Pipeline:
    read = Pipeline("sales", root).from_csv(data).generate_statistics().infer_schema()
    return read.validate_examples().train_per_entity(
        TRAIN, entity="shop", label="sales", task="regression", min_rows=2
    )


@pytest.fixture(scope="module")
def blessed(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """A root whose first run pushed, because its condition held."""
    root = tmp_path_factory.mktemp("blessed")
    pipeline = sales(root, data).evaluate(["mae"], min_eval_rows=1)
    summary = executed(pipeline.push_to().when("blessing.blessed == 1"))
    assert (summary.push["pushed"], summary.left_out) == (True, ())
    return root


@pytest.mark.parametrize("orchestrator", runner.ORCHESTRATORS)
def test_no_models_no_evaluation_and_no_push(tmp_path, data, orchestrator):
    pipeline = sales(tmp_path, data).when("examples.rows_train >= 1000").evaluate(["mae"])
    summary = executed(pipeline.push_to().bulk_infer(from_csv(data)), orchestrator)
    assert set(summary.left_out) == {"EntityTrainer", "EntityEvaluator", "Pusher"}
    assert summary.state != "failed"
    assert summary.push == {}
    assert "nothing was pushed" in summary.inference["skipped"]
    assert not (tmp_path / "pushed" / "1").exists()


@pytest.mark.parametrize("condition", ["rows_trian == 5", "rows_trian != 5", "rows_train != 'a'"])
def test_a_property_that_is_not_there_is_named(tmp_path, data, condition):
    with pytest.raises(BeamfleetError, match=f"asks for '{condition.split()[0]}'"):
        executed(sales(tmp_path, data).when(f"examples.{condition}"))


def test_the_latest_blessed_models_predict(blessed, data):
    result = executed(Pipeline("sales", blessed).with_model().bulk_infer(from_csv(data)))
    assert (result.inference["rows"], result.inference["rows_failed"]) == (80, 0)
    # What the evaluator composed, entity by entity, is what was blessed.
    assert [Path(uri).parent.name for uri in read_by(blessed, "BulkInferrer", "model")] == [
        "composed_model"
    ]


def test_another_pipeline_of_the_root_has_blessed_nothing(blessed, data):
    result = executed(Pipeline("others", blessed).with_model().bulk_infer(from_csv(data)))
    assert result.inference["skipped"] == "no model was blessed yet"
    with pytest.raises(BeamfleetError, match="there is no 'model' yet"):
        executed(Pipeline("others", blessed).with_model().push_to(blessed / "elsewhere"))


def test_pushed_models_are_taken_to_another_place_once_evaluated_there(blessed, tmp_path, data):
    promoted = Pipeline("promote", tmp_path).from_csv(data).with_model(blessed)
    summary = executed(promoted.evaluate(["mae"], min_eval_rows=1).push_to(tmp_path / "live"))
    assert (summary.evaluation["blessed"], summary.push["version"]) == (True, 1)
    there, here = PushedVersions(str(blessed / "pushed")), PushedVersions(str(tmp_path / "live"))
    names = ("interface_fingerprint", "store_fingerprint")
    [old, new] = [v.current().details for v in (there, here)]
    assert {n: old.get(n) for n in names} == {n: new.get(n) for n in names}


class MakerSpec(ComponentSpec):
    PARAMETERS = {"number": ExecutionParameter(type=int)}
    INPUTS = {"earlier": ChannelParameter(type=HyperParameters, optional=True)}
    OUTPUTS = {"made": ChannelParameter(type=HyperParameters)}


class MakerExecutor(base_executor.BaseExecutor):
    """Says in its output which one it was given."""

    def Do(self, input_dict, output_dict, exec_properties):
        [made] = output_dict["made"]
        if exec_properties["number"] < 0:
            raise ValueError("a number below 0")
        seen = [one.get_int_custom_property("number") for one in input_dict.get("earlier", [])]
        made.set_int_custom_property("number", exec_properties["number"])
        made.set_string_custom_property("seen", str(seen))


class Maker(base_component.BaseComponent):
    SPEC_CLASS = MakerSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(MakerExecutor)

    def __init__(self, number, earlier):
        super().__init__(
            spec=MakerSpec(number=number, earlier=earlier, made=Channel(type=HyperParameters))
        )


@pytest.mark.parametrize("orchestrator", runner.ORCHESTRATORS)
def test_the_latest_hyperparameters_are_found(tmp_path, orchestrator):
    seen = []
    for number in (7, 8, 9):
        graph = Graph({})
        with_hyperparameters(graph, steps.WithHyperparameters(""))
        maker = Maker(number, graph.channels["hyperparameters"])
        config = tfx_metadata.sqlite_metadata_connection_config(str(tmp_path / metadata.DATABASE))
        root = str(tmp_path / "artifacts")
        built = TfxPipeline("made", root, config, [*graph.nodes, maker], enable_cache=True)
        run = f"run-{number}"
        runner.run(built, run, orchestrator, Silent())
        node = metadata.read_run(tmp_path, run).node("Maker")
        seen.append(node.output("made").properties["seen"])
    assert seen == ["[]", "[7]", "[8]"]


@pytest.mark.parametrize("orchestrator", runner.ORCHESTRATORS)
def test_what_was_left_out_is_known_of_a_failed_run_too(tmp_path, orchestrator):
    first = Maker(1, None)
    with Cond(first.outputs["made"].future()[0].custom_property("number") == 5):
        left_out = Maker(2, None).with_id("LeftOut")
    failing = Maker(-1, None).with_id("Failing")
    failing.add_upstream_node(left_out)
    config = tfx_metadata.sqlite_metadata_connection_config(str(tmp_path / metadata.DATABASE))
    nodes = [first, left_out, failing]
    built = TfxPipeline("made", str(tmp_path / "artifacts"), config, nodes)
    with pytest.raises(BeamfleetError, match="a number below 0"):
        runner.run(built, "run", orchestrator, Silent())
    assert metadata.read_run(tmp_path, "run").left_out == ("LeftOut",)
