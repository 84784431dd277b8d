"""`beamfleet export` and the captions that it means."""

import io
import json
import time

import pytest

from components.errors import BeamfleetError
from pipelines import cli, metadata
from pipelines.captioned import Captions, find_captions
from pipelines.counting import counting_on
from tests.components.caption_report.results import image, row, write_result
from tests.pipelines.test_cli import beamfleet


@pytest.fixture
def result(tmp_path):
    """Three images, one of which is gone, and one that was never captioned."""
    for name in "ab":
        (tmp_path / f"{name}.png").write_bytes(image())
    rows = [row(f"{tmp_path}/{name}.png", "a cat") for name in "abc"]
    dead = [(f"{tmp_path}/\x1b[2J.png", "read", "damaged")]
    return write_result(tmp_path / "result", rows, dead)


def put_run(root, run_id, outputs):
    """Writes a run whose nodes have these (only) outputs, as TFX's launcher does."""
    from ml_metadata import MetadataStore
    from ml_metadata.proto import metadata_store_pb2 as pb

    config = pb.ConnectionConfig()
    config.sqlite.filename_uri = str(root / metadata.DATABASE)
    config.sqlite.connection_mode = 3
    store = MetadataStore(config)
    types = {
        name: store.put_context_type(pb.ContextType(name=name))
        for name in ("pipeline", "pipeline_run", "node")
    }
    execution_type = store.put_execution_type(pb.ExecutionType(name="T"))
    artifact_type = store.put_artifact_type(pb.ArtifactType(name="InferenceResult"))
    for node, uri in outputs.items():
        execution = pb.Execution(type_id=execution_type, last_known_state=pb.Execution.COMPLETE)
        event = pb.Event(type=pb.Event.OUTPUT)
        event.path.steps.add().key = "examples" if node == "ExampleGen" else "inference_result"
        contexts = [
            pb.Context(type_id=types["pipeline"], name="captions"),
            pb.Context(type_id=types["pipeline_run"], name=run_id),
            pb.Context(type_id=types["node"], name=f"captions.{node}"),
        ]
        made = [(pb.Artifact(type_id=artifact_type, uri=uri), event)]
        store.put_execution(execution, made, contexts, reuse_context_if_already_exist=True)
        time.sleep(0.002)  # started one after the other


def test_it_exports_says_what_failed_and_how_to_read_the_rest(result, tmp_path, capsys):
    assert cli.main(["export", result, "--to", "webdataset", "--out", str(tmp_path / "out")]) == 1
    printed = capsys.readouterr()
    assert printed.out.startswith(f"2 of 4 images of {result}\nare in {tmp_path}/out; read them")
    assert f"webdataset.WebDataset('{tmp_path}/out/train/000000.tar')" in printed.out
    assert "2 failed, see" in printed.err
    assert f"{tmp_path}/c.png: there is no such file (export)" in printed.err
    assert rf"{tmp_path}/\x1b[2J.png: damaged (read)" in printed.err
    assert "\x1b" not in printed.err
    assert "of 3 images" not in printed.err  # it took no time


def test_it_says_that_several_captions_are_a_list(result, tmp_path, capsys):
    command = ["export", result, "--to", "imagefolder"]
    for caption, said in (("best", False), ("all", True)):
        cli.main([*command, "--caption", caption, "--out", str(tmp_path / caption)])
        assert ("where `text` is a list" in capsys.readouterr().out) is said


def test_json_is_one_document_and_no_progress(result, tmp_path, capsys):
    (tmp_path / "c.png").write_bytes(image())
    command = ["export", result, "--out", str(tmp_path / "out"), "--to", "imagefolder"]
    assert cli.main([*command, "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {
        "images_in": 4, "exported": 3, "below_threshold": 0, "failed": 1, "unreadable": 0,
        "result": result, "out": str(tmp_path / "out"),
    }  # fmt: skip
    assert printed.err == ""


def test_a_root_means_the_newest_run_that_captioned(result, tmp_path):
    root = tmp_path / "runs"
    root.mkdir()
    entities, other = tmp_path / "entities", tmp_path / "other"
    for folder, columns in ((entities, {"entity": ["a"]}), (other, None)):
        if columns:
            import pyarrow as pa
            import pyarrow.parquet as pq

            (folder / "predictions").mkdir(parents=True)
            pq.write_table(pa.table(columns), folder / "predictions" / "part-00000.parquet")
        else:
            write_result(folder, [row("/p/x.png", "a cat")])
    put_run(root, "run-1", {"BulkInferrer": str(other)})
    put_run(
        root,
        "run-2",
        {"ExampleGen": str(other), "BulkInferrer": result, "PushedBulkInferrer": str(other)},
    )
    put_run(root, "run-3", {"BulkInferrer": str(entities)})
    put_run(root, "run-4", {"BulkInferrer": str(tmp_path / "nowhere")})
    put_run(root, "run-5", {"ExampleGen": str(other)})
    assert find_captions(str(root)) == Captions(result, f"{other}/rejects.parquet")
    assert find_captions(result) == Captions(result)


def test_a_root_without_captions_is_refused(tmp_path):
    put_run(tmp_path, "run-1", {"BulkInferrer": str(tmp_path / "nowhere")})
    with pytest.raises(BeamfleetError, match=r"no run below .* has captioned images"):
        find_captions(str(tmp_path))


def test_what_cannot_be_is_refused_without_heavy_imports(tmp_path):
    status, printed, heavy = beamfleet(
        "export", "nowhere", "--to", "webdataset", "--out", "x", cwd=tmp_path
    )
    assert (status, heavy) == (1, [])
    assert "there are no captions at nowhere: expected the folder of a result" in printed
    status, printed, heavy = beamfleet("export", "--help", cwd=tmp_path)
    assert (status, heavy) == (0, [])
    assert "  beamfleet export runs/captions --to webdataset --out pairs" in printed


def test_progress_has_a_line_for_a_tenth_that_takes_seconds(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("pipelines.counting.time.monotonic", lambda: now[0])
    stream = io.StringIO()
    with counting_on(stream, "images", silent=False) as progress:
        for done in range(1, 1001):
            now[0] += 0.011 if done <= 500 else 0.05
            progress(done, 1000)
    assert [line.partition(" ")[2] for line in stream.getvalue().splitlines()] == [
        f"{done} of 1,000 images" for done in (273, 511, 600, 700, 800, 900)
    ] + ["1,000 of 1,000 images"]
