"""`beamfleet tensorboard`: the real one, on real event files."""

import json
import signal
import subprocess
import sys
import urllib.request

import psutil
import pytest

from pipelines import cli
from tests.e2e.beamfleet import ROOT
from tests.pipelines.records import Recorder


def write_events(folder, tag):
    """An event file with one curve, without TensorFlow."""
    from tensorboard.compat.proto import event_pb2, summary_pb2
    from tensorboard.summary.writer.record_writer import RecordWriter

    folder.mkdir()
    with (folder / "events.out.tfevents.1.here").open("wb") as file:
        writer = RecordWriter(file)
        writer.write(event_pb2.Event(file_version="brain.Event:2").SerializeToString())
        for step in range(3):
            value = summary_pb2.Summary.Value(tag=tag, simple_value=step / 2)
            event = event_pb2.Event(step=step, summary=summary_pb2.Summary(value=[value]))
            writer.write(event.SerializeToString())


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    recorder = Recorder(tmp_path_factory.mktemp("look") / "taxi", "taxi")
    for node, tag in (("Trainer", "epoch_loss"), ("OtherTrainer", "epoch_auc")):
        made = recorder.node("run-1", node, outputs={"model_run": ("ModelRun", {})})
        write_events(recorder.uri(made["model_run"]) / "train", tag)
    made = recorder.node("run-2", "EntityTrainer", outputs={"model": ("Model", {})})
    return recorder.root


def ask(url, path):
    with urllib.request.urlopen(f"{url}{path}", timeout=20) as answer:
        return json.load(answer)


def test_the_curves_of_all_trainers_are_served_on_the_loopback_until_ctrl_c(root):
    command = [sys.executable, "-m", "pipelines.cli", "tensorboard", "run-1", "--port", "0"]
    with subprocess.Popen(
        [*command, "--root", str(root)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            url = process.stdout.readline().split()[-4]
            assert url.startswith("http://127.0.0.1:")
            sockets = psutil.Process(process.pid).connections()
            listening = {c.laddr.ip for c in sockets if c.status == psutil.CONN_LISTEN}
            tags = ask(url, "data/plugin/scalars/tags")
            plugins = ask(url, "data/plugins_listing")
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
        finally:
            process.kill()
    assert listening == {"127.0.0.1"}
    assert {run: list(found) for run, found in tags.items()} == {
        "Trainer/train": ["epoch_loss"], "OtherTrainer/train": ["epoch_auc"],
    }  # fmt: skip
    assert "scalars" in plugins
    assert not [name for name in plugins if "profile" in name or "debugger" in name]


def test_a_run_without_logs_says_what_to_add(root, capsys):
    assert cli.main(["tensorboard", "run-2", "--root", str(root)]) == 1
    said = capsys.readouterr().err
    assert "run run-2 of taxi left no logs for TensorBoard" in said
    assert "callbacks=[data.tensorboard()]" in said


def test_a_port_that_cannot_be(root, capsys):
    assert cli.main(["tensorboard", "run-1", "--root", str(root), "--port", "70000"]) == 1
    assert "--port is 70000, expected 0 to 65535" in capsys.readouterr().err
