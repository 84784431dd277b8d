"""The Trainer as a node: what it makes of a run_fn, and when it makes it again."""

from pathlib import Path
from typing import Any

import pytest
from tfx.components.trainer.fn_args_utils import FnArgs
from tfx.types import channel, standard_artifacts

from components.entity_models.open import open_models
from components.errors import BeamfleetError
from components.saved_model.write import describe
from components.trainer.component import Trainer
from components.trainer.executor import Executor
from components.trainer.start import changed_vocabularies, check_start
from tests.components.saved_model.models import Formula, save

HERE = __name__


def run_fn(fn_args: FnArgs) -> None:
    hparams = fn_args.custom_config["hparams"]
    save(Path(fn_args.serving_model_dir), Formula(hparams["weight"]))


def lazy_fn(fn_args: FnArgs) -> None:
    Path(fn_args.serving_model_dir).mkdir(parents=True)


def node(function: str = "run_fn", **options: Any) -> Trainer:
    def of(kind: type) -> Any:
        return channel.Channel(type=kind)

    return Trainer(
        examples=of(standard_artifacts.Examples),
        schema=of(standard_artifacts.Schema),
        run_fn=f"{HERE}.{function}",
        label="tipped",
        **options,
    )


def execute(folder: Path, trainer: Trainer, base: str = "") -> standard_artifacts.Model:
    examples, schema = standard_artifacts.Examples(), standard_artifacts.Schema()
    examples.uri, schema.uri = str(folder / "examples"), str(folder / "schema")
    examples.split_names = '["train", "eval"]'
    (folder / "schema").mkdir(parents=True)
    (folder / "schema" / "schema.pbtxt").write_text("")
    model, model_run = standard_artifacts.Model(), standard_artifacts.ModelRun()
    model.uri, model_run.uri = str(folder / "model"), str(folder / "run")
    inputs = {"examples": [examples], "schema": [schema]}
    if base:
        inputs["base_model"] = [standard_artifacts.Model()]
        inputs["base_model"][0].uri = base
    properties = {k: v for k, v in trainer.exec_properties.items() if v is not None}
    Executor().Do(
        inputs,
        {"model": [model], "model_run": [model_run]},
        properties,
    )
    return model


def test_the_model_is_described(tmp_path: Path) -> None:
    uri = execute(tmp_path, node(hparams={"weight": 2.0}, classes=["no", "yes"])).uri
    models = open_models(uri)
    assert (models.spec.label, models.spec.task) == ("tipped", "classification")
    assert models.spec.classes == ("no", "yes")
    assert models.uri == f"{uri}/Format-Serving"


def test_a_run_fn_that_saves_nothing_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(BeamfleetError, match="run_fn has to save one in"):
        execute(tmp_path, node("lazy_fn"))


def test_other_code_or_hparams_are_another_node(monkeypatch: pytest.MonkeyPatch) -> None:
    def config(**options: Any) -> str:
        return str(node(**options).exec_properties["custom_config"])

    assert config() == config()
    assert config(hparams={"weight": 1}) != config(hparams={"weight": 2})
    before = config()
    monkeypatch.setattr("components.trainer.component.code_fingerprint", lambda path: "another")
    assert config() != before


def test_nonsense_is_refused_at_once() -> None:
    with pytest.raises(BeamfleetError, match="task must be one of"):
        node(task="ranking")
    with pytest.raises(BeamfleetError, match="has no function 'gone'"):
        node("gone")


def start_at(folder: Path, words: str) -> str:
    """A model as an earlier run made it, with a vocabulary."""
    uri = save(folder / "Format-Serving", Formula(1.0))
    (folder / "Format-Serving" / "assets").mkdir(exist_ok=True)
    (folder / "Format-Serving" / "assets" / "company").write_text(words)
    describe(uri, "tipped", "classification")
    return str(folder)


def test_a_start_that_was_changed_or_is_gone_is_named(tmp_path: Path) -> None:
    check_start(start_at(tmp_path / "m", "A\nB\n"))
    (tmp_path / "m" / "Format-Serving" / "assets" / "company").write_text("B\nA\n")
    for uri in (tmp_path / "m", tmp_path / "gone"):
        with pytest.raises(BeamfleetError, match=r"the model to start from .*without warm_start"):
            check_start(str(uri))


def test_words_that_have_another_number_are_told(tmp_path: Path) -> None:
    before = start_at(tmp_path / "m", "A\nB\nC\n")
    same, moved = (start_at(tmp_path / name, words) + "/Format-Serving"
                   for name, words in (("s", "A\nB\nC\nD\n"), ("n", "A\nC\nB\n")))  # fmt: skip
    assert changed_vocabularies(before, same) == []  # a new word has a new number
    [note] = changed_vocabularies(before, moved)
    assert note.startswith("vocabulary 'company': 2 of 3 words have another number")


def test_a_start_that_the_run_fn_did_not_take_is_told(tmp_path: Path) -> None:
    channel_of_models = channel.Channel(type=standard_artifacts.Model)
    trainer = node(hparams={"weight": 2.0}, base_model=channel_of_models, candidate="wide")
    none = execute(tmp_path / "first", trainer)
    assert none.get_string_custom_property("candidate") == "wide"
    assert none.has_custom_property("warm_start")
    assert none.get_string_custom_property("warm_start") == ""
    uri = start_at(tmp_path / "m", "A\n")
    given = execute(tmp_path / "second", trainer, uri)
    assert given.get_string_custom_property("warm_start") == uri
    assert "did not take its weights" in given.get_string_custom_property("notes")
