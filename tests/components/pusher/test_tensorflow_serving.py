"""What TensorFlow Serving is told of a pushed directory."""

from pathlib import Path

import pytest
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from components.pusher.tensorflow_serving import config_text
from components.pusher.versions import PushedVersions
from components.saved_model.write import describe
from tests.components.pusher.stores import make_store
from tests.components.saved_model.models import Formula, save


def parsed(text: str) -> model_server_config_pb2.ModelConfig:
    config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    [model] = config.model_config_list.config
    return model


def served(folder: Path) -> list[int]:
    model = parsed((folder / "models.config").read_text(encoding="utf-8"))
    assert (model.name, model.base_path, model.model_platform) == (
        "model",
        str(folder),
        "tensorflow",
    )
    assert model.model_version_policy.WhichOneof("policy_choice") == "specific"
    versions = list(model.model_version_policy.specific.versions)
    assert all((folder / str(number) / "saved_model.pb").is_file() for number in versions)
    return versions


def test_the_current_version_and_no_other_is_served(tmp_path: Path) -> None:
    folder = tmp_path / "pushed"
    pushed = PushedVersions(str(folder))
    for number, weight in enumerate((1.0, 2.0, 3.0)):
        uri = save(tmp_path / f"m{number}", Formula(weight))
        describe(uri, "tipped", "classification")
        pushed.push(uri, uri, number, 9)
        assert served(folder) == [number + 1]
    pushed.rollback()
    assert served(folder) == [2]
    pushed.rollback(3)
    assert served(folder) == [3]
    (folder / "models.config").unlink()  # as if a push had been killed before
    pushed.rollback(3)
    assert served(folder) == [3]
    (folder / "models.config").unlink()
    assert not pushed.push(uri, uri, 3, 9).new
    assert served(folder) == [3]
    assert [version.number for version in pushed.versions()] == [1, 2, 3]


def test_entity_models_have_none(tmp_path: Path) -> None:
    PushedVersions(str(tmp_path / "p")).push(make_store(tmp_path / "m", {"": 1.0}), "c", 0, 9)
    assert not (tmp_path / "p" / "models.config").exists()


@pytest.mark.parametrize("path", ["/models/größe 1", '/a"b\\c', "/new\nline", "/tab\there\x7f"])
def test_any_path_is_read_back(path: str) -> None:
    assert parsed(config_text(path, 7)).base_path == path
