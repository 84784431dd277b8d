"""The captions pipeline: its wiring, and what is refused before anything heavy is imported."""

import importlib.util
import sys

import pytest
from PIL import Image

from components.errors import BeamfleetError
from pipelines import captions, cli, steps
from pipelines.pipeline import Pipeline

ENSEMBLE = "user_code.captions.ensemble_fn"


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    Image.new("RGB", (9, 9)).save(folder / "a.png")
    return str(folder)


def producers(node):
    return {key: channel.producer_component_id for key, channel in node.inputs.items()}


def test_all_nodes_are_wired_to_what_they_read(images, tmp_path):
    built = captions.pipeline(root=tmp_path / "root", images=[images]).build()
    nodes = {node.id: node for node in built.components}
    assert producers(nodes["BulkInferrer"]) == {
        "examples": "ExampleGen",
        "model": "EnsembleImporter",
    }
    assert producers(nodes["PushedBulkInferrer"]) == {"examples": "ExampleGen"}
    assert producers(nodes["CaptionEvaluator"]) == {
        "inference_result": "BulkInferrer",
        "baseline_result": "PushedBulkInferrer",
        "model": "EnsembleImporter",
    }
    assert producers(nodes["CaptionReport"]) == {
        "inference_result": "BulkInferrer",
        "examples": "ExampleGen",
    }
    assert "CaptionReport" in {node.id for node in nodes["CaptionEvaluator"].upstream_nodes}
    assert producers(nodes["Pusher"]) == {
        "model": "EnsembleImporter",
        "model_blessing": "CaptionEvaluator",
        "infra_blessing": "InfraValidator",
    }
    properties = nodes["InfraValidator"].exec_properties
    assert not {"requests", "max_p99_ms", "split"} & {k for k, v in properties.items() if v}


def test_the_pushed_ensemble_is_run_only_if_it_is_compared_with(images, tmp_path):
    pipeline = (
        Pipeline("c", root=tmp_path)
        .from_images(images, max_pixels=100, allow_private=True)
        .with_ensemble(ENSEMBLE, {"blip": tmp_path, "clip": "owner/name"})
        .infer_images({"captions": "rank"})
        .evaluate_captions({"clip_score": {"min": 0.1}})
        .push_to()
    )
    nodes = {node.id: node for node in pipeline.build().components}
    assert "PushedBulkInferrer" not in nodes
    source = nodes["ExampleGen"].exec_properties["source"]
    assert '"allow_private": true' in source
    assert '"max_pixels": 100' in source


def note_of(tmp_path, **options):
    nodes = captions.pipeline(root=tmp_path / "root", **options).build().components
    [report] = [node for node in nodes if node.id == "CaptionReport"]
    return report.exec_properties["note"]


def test_the_small_models_are_said_to_know_drawn_scenes_only(images, tmp_path):
    ours, scenes = str(captions.DATA / "captions" / "blip"), str(captions.DATA / "scenes")
    assert note_of(tmp_path, images=[images]) == captions.DRAWN_SCENES_ONLY
    assert note_of(tmp_path, images=[scenes, images], blip=ours) == captions.DRAWN_SCENES_ONLY
    assert note_of(tmp_path, images=["https://example.org/a.jpg"]) == captions.DRAWN_SCENES_ONLY
    for quiet in ({}, {"images": [f"{scenes}/000001.png"]}, {"images": [images], "clip": "o/n"}):
        assert note_of(tmp_path, **quiet) == ""


@pytest.mark.parametrize("pattern", ["*.png", "**/*.png", "images/**", "i[a-m]*/?.png"])
def test_patterns_that_match_are_taken(images, tmp_path, pattern):
    folder = tmp_path / "[odd] images"
    folder.mkdir()
    Pipeline("c", root=tmp_path).from_images(
        f"{images if pattern == '*.png' else tmp_path}/{pattern}",
        folder,
        "gs://bucket/*.png",
    ).check()


def test_private_addresses_are_allowed_on_the_command_line_only_if_asked_for(images, monkeypatch):
    taken = []
    monkeypatch.setattr(Pipeline, "check", lambda self: taken.append(self) or sys.exit(0))
    for asked in ([], ["--allow-private"]):
        with pytest.raises(SystemExit):
            cli.main(["run", "captions", "--images", images, *asked])
    limits = [pipeline._steps[steps.ReadImages].limits for pipeline in taken]
    assert [limit.get("allow_private", False) for limit in limits] == [False, True]
    assert cli.main(["run", "census", "--allow-private"]) == 1


def test_without_pytorch_it_is_said_how_to_install_it(images, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "torch" else found(name)
    )
    with pytest.raises(BeamfleetError, match=r"torch cannot be found.*PIPELINE=captions"):
        captions.pipeline(images=[images])


def test_models_are_looked_at_before_anything_runs(images, tmp_path):
    blip, clip = (str(captions.DATA / "captions" / name) for name in ("blip", "clip"))
    with pytest.raises(BeamfleetError, match=r"blip: .*clip holds a CLIPModel, expected a Blip"):
        captions.pipeline(images=[images], blip=clip, clip=blip)
    with pytest.raises(BeamfleetError, match=r"clip: .*images holds no model, expected a CLIP"):
        captions.pipeline(images=[images], clip=images)
    captions.pipeline(images=[images], blip="owner/name", clip="owner/name@main")


def test_without_pytorch_serve_says_it_too(tmp_path, monkeypatch, capsys):
    (tmp_path / "CURRENT").touch()

    def fail(config):
        try:
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
        except ModuleNotFoundError as error:
            raise BeamfleetError("ensemble_fn failed") from error

    monkeypatch.setattr("components.model_server.server.serve", fail)
    found = importlib.util.find_spec
    gone = {"torch"}
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name in gone else found(name)
    )
    assert cli.main(["serve", str(tmp_path)]) == 1
    assert "torch cannot be found: install with `make run" in capsys.readouterr().err
    gone.clear()  # there it is, and it still fails: not for us to say
    assert cli.main(["serve", str(tmp_path)]) == 1
    assert "ensemble_fn failed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("build", "advice"),
    [
        (lambda p, i: p.from_images(), "needs a folder"),
        (lambda p, i: p.from_images(f"{i}/gone").check(), "there is no file or folder"),
        (lambda p, i: p.from_images(f"{i}/*.jpg").check(), r"nothing matches .*/\*.jpg"),
        (lambda p, i: p.from_images(i).infer_images({"c": "rank"}).check(), "with_ensemble"),
        (lambda p, i: p.from_images(i).evaluate_captions().check(), "add .infer_images"),
        (lambda p, i: p.from_images(i).from_csv(i), "two sources"),
        (lambda p, i: p.from_images(i).evaluate("accuracy").check(), "add .train_per_entity"),
        (
            lambda p, i: p.from_images(i).with_ensemble("user_code.captions.gone", {}).check(),
            "no function 'gone'",
        ),
        (
            lambda p, i: p.from_images(i).with_ensemble(ENSEMBLE, {"blip": "gone"}).check(),
            "no folder 'gone'",
        ),
        (
            lambda p, i: p.from_images(i).with_ensemble("user_code.census.clean_fn", {}).check(),
            "wrong parameters",
        ),
        (lambda p, i: p.from_images(i).evaluate_captions({"wit": {"min": 1}}), "wit"),
    ],
)
def test_what_is_missing_is_said(images, tmp_path, build, advice):
    with pytest.raises(BeamfleetError, match=advice):
        build(Pipeline("c", root=tmp_path), images)
