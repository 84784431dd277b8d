"""What the display is told of nodes, under TFX's own launcher."""

import itertools

import pytest
from tfx import types
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.orchestration import metadata
from tfx.orchestration.pipeline import Pipeline
from tfx.types import channel, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.utils import dependency_utils

from components.user_function import own_fingerprint
from pipelines import launching, runner
from pipelines.events import CACHED, DONE, SKIPPED, STARTED, NodeEvent


class Spec(ComponentSpec):
    PARAMETERS = {"skipped": ExecutionParameter(type=str)}
    INPUTS: dict[str, ChannelParameter] = {}
    OUTPUTS = {"result": ChannelParameter(type=standard_artifacts.InferenceResult)}


class Executor(base_executor.BaseExecutor):
    """Says that it had nothing to do, or says nothing."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, str],
    ) -> None:
        [result] = output_dict["result"]
        if exec_properties["skipped"]:
            result.set_string_custom_property("skipped", exec_properties["skipped"])


class Node(base_component.BaseComponent):
    SPEC_CLASS = Spec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(self, skipped: str) -> None:
        result = channel.Channel(type=standard_artifacts.InferenceResult)
        super().__init__(spec=Spec(skipped=skipped, result=result))


class Seen:
    """Keeps the ends of nodes."""

    def __init__(self) -> None:
        self.ends: dict[str, tuple[str, str]] = {}

    def nodes(self, names: list[str]) -> None:
        assert sorted(names) == ["Idle", "Works"]

    def on(self, event: NodeEvent) -> None:
        if event.state != STARTED:
            self.ends[event.node] = (event.state, event.reason)


@pytest.mark.e2e
def test_a_node_that_had_nothing_to_do_is_skipped_and_says_why(tmp_path):
    pipeline = Pipeline(
        pipeline_name="small",
        pipeline_root=str(tmp_path / "artifacts"),
        components=[Node("nothing is pushed yet").with_id("Idle"), Node("").with_id("Works")],
        enable_cache=True,
        metadata_connection_config=metadata.sqlite_metadata_connection_config(str(tmp_path / "db")),
    )
    seen = Seen()
    runner.run(pipeline, "first", "local", seen)
    assert seen.ends == {"Idle": (SKIPPED, "nothing is pushed yet"), "Works": (DONE, "")}
    runner.run(pipeline, "second", "local", seen)
    assert seen.ends == dict.fromkeys(("Idle", "Works"), (CACHED, ""))


@pytest.mark.e2e
def test_what_another_release_made_is_made_again(tmp_path, monkeypatch):
    numbers = itertools.count()

    def states() -> set[str]:
        seen = Seen()
        pipeline = Pipeline(
            pipeline_name="small",
            pipeline_root=str(tmp_path / "artifacts"),
            components=[Node("").with_id("Idle"), Node("").with_id("Works")],
            enable_cache=True,
            metadata_connection_config=metadata.sqlite_metadata_connection_config(
                str(tmp_path / "db")
            ),
        )
        runner.run(pipeline, f"run {next(numbers)}", "local", seen)
        return {state for state, _ in seen.ends.values()}

    assert [states(), states()] == [{DONE}, {CACHED}]
    monkeypatch.setattr("pipelines.launching.own_fingerprint", lambda: "another release")
    assert [states(), states()] == [{DONE}, {CACHED}]
    monkeypatch.undo()
    assert states() == {CACHED}


def test_own_code_and_pages_are_in_the_fingerprint(tmp_path, monkeypatch):
    for name in ("a.py", "page/sheet.js", "notes.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    monkeypatch.setattr("components.user_function._OWN", tmp_path)
    found = [own_fingerprint()]
    for name in ("notes.md", "a.py", "page/sheet.js"):
        (tmp_path / name).write_text("y")
        found.append(own_fingerprint())
    assert found[0] == found[1] and len(set(found)) == 3


def test_tfx_packs_itself_for_workers_elsewhere_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dependency_utils, "build_ephemeral_package", lambda: "tfx.tar.gz")
    with launching.tfx_stays_here():
        flags = dependency_utils.make_beam_dependency_flags
        assert flags(["--runner=FnApiRunner"]) == ["--runner=FnApiRunner"]
        assert flags(["--runner=FlinkRunner"])[-1] == "--extra_package=tfx.tar.gz"
    assert "--extra_package=tfx.tar.gz" in dependency_utils.make_beam_dependency_flags(
        ["--runner=FnApiRunner"]
    )
