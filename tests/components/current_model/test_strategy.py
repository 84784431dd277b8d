"""Which model is the current one, on a real ML Metadata store."""

from pathlib import Path

import pytest
from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as pb
from tfx.types import Artifact
from tfx.types.standard_artifacts import Examples, Model, ModelBlessing

from components.current_model.strategy import BaselineStrategy, WarmStartStrategy
from components.pusher.versions import PushedVersions
from tests.components.pusher.stores import make_store


class World:
    """Models that are trained on rows, from one another, and blessed or not; and pushed."""

    def __init__(self, folder: Path) -> None:
        config = pb.ConnectionConfig()
        config.fake_database.SetInParent()
        self.store, self.folder = MetadataStore(config), folder
        self.models: list[Artifact] = []
        self.blessings: list[Artifact] = []
        self.pushed = PushedVersions(str(folder / "pushed"))

    def put(self, kind: type[Artifact], uri: str) -> Artifact:
        artifact = kind()
        artifact.uri = uri
        artifact.mlmd_artifact.type_id = self.store.put_artifact_type(artifact.artifact_type)
        [artifact.id] = self.store.put_artifacts([artifact.mlmd_artifact])
        return artifact

    def rows(self) -> Artifact:
        return self.put(Examples, "/rows")

    def train(self, rows: Artifact, base: Artifact | None = None, blessed: bool = True) -> Artifact:
        number = len(self.models)
        uri = make_store(self.folder / f"m{number}", {"": float(number)})
        model = self.put(Model, uri)
        self.models.append(model)
        self._record(model, {"examples": rows, **({"base_model": base} if base else {})})
        blessing = self.put(ModelBlessing, "/blessing")
        blessing.set_int_custom_property("blessed", int(blessed))
        blessing.set_int_custom_property("current_model_id", model.id)
        self.blessings.append(blessing)
        return model

    def _record(self, model: Artifact, inputs: dict[str, Artifact]) -> None:
        kind = self.store.put_execution_type(pb.ExecutionType(name="Trainer"))
        execution = pb.Execution(type_id=kind)
        events = [(artifact.mlmd_artifact, self._event(pb.Event.INPUT, key))
                  for key, artifact in inputs.items()]  # fmt: skip
        events.append((model.mlmd_artifact, self._event(pb.Event.OUTPUT, "model")))
        self.store.put_execution(execution, events, [])

    @staticmethod
    def _event(kind: int, key: str) -> pb.Event:
        return pb.Event(type=kind, path=pb.Event.Path(steps=[pb.Event.Path.Step(key=key)]))

    def push(self, model: Artifact) -> None:
        current = self.pushed.current()
        self.pushed.push(model.uri, model.uri, current.number if current else 0, 9)

    def start(self, rows: Artifact) -> Artifact | None:
        return self._ask(WarmStartStrategy, examples=[rows])

    def baseline(self, *candidates: Artifact) -> Artifact | None:
        return self._ask(BaselineStrategy, candidates=list(candidates))

    def _ask(self, kind: type, **inputs: list[Artifact]) -> Artifact | None:
        asked = {"model": list(self.models), "model_blessing": list(self.blessings), **inputs}
        config = {"push_destination": self.pushed.directory} if kind is WarmStartStrategy else {}
        answer = kind(**config).resolve_artifacts(self.store, asked)
        assert set(answer) == set(asked)  # the Resolver publishes every one of its inputs
        [found] = answer["model"] or [None]
        return found


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_before_the_first_blessing_there_is_none(world: World) -> None:
    rows = world.rows()
    assert world.start(rows) is None
    refused = world.train(rows, blessed=False)
    assert world.start(world.rows()) is None
    assert world.baseline(refused) is None


def test_nothing_pushed_it_is_the_latest_blessed_one(world: World) -> None:
    world.train(world.rows())
    second = world.train(world.rows())
    refused = world.train(world.rows(), blessed=False)
    assert world.start(world.rows()) is second
    assert world.baseline(refused) is second


def test_a_model_is_not_compared_with_itself(world: World) -> None:
    first = world.train(world.rows())
    one, two = world.train(world.rows(), blessed=False), world.train(world.rows())
    assert world.baseline(one, two) is first


def test_the_same_rows_are_not_trained_on_twice(world: World) -> None:
    rows, more = world.rows(), world.rows()
    first = world.train(rows)
    assert world.start(rows) is None  # as the first run was answered
    second = world.train(more, base=first)
    assert world.start(more) is first
    third = world.train(more, base=second)
    assert world.start(more) is first
    assert world.start(world.rows()) is third


def test_the_start_follows_a_rollback_which_the_blessing_does_not(world: World) -> None:
    first, second = world.train(world.rows()), world.train(world.rows())
    world.push(first)
    assert world.start(world.rows()) is first  # the second is blessed, but was not pushed
    world.push(second)
    assert world.start(world.rows()) is second
    world.pushed.rollback()
    assert world.start(world.rows()) is first


def test_a_pushed_model_of_another_pipeline_is_no_start(world: World, tmp_path: Path) -> None:
    first = world.train(world.rows())
    world.pushed.push(make_store(tmp_path / "other", {"": 9.0}), "elsewhere", 0, 9)
    assert world.start(world.rows()) is first
