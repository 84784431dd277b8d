"""`beamfleet watch`: three spans, a window of two, a kill and a restart."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.beamfleet import ROOT, beamfleet

pytestmark = pytest.mark.e2e
PIPELINE = """
from pathlib import Path
from pipelines.pipeline import Pipeline

def pipeline(root=None):
    spans = Path(__file__).parent / "span-{SPAN}"
    return Pipeline("small", root=root).from_csv(spans, window=2).generate_statistics()
"""


@contextmanager
def watching(folder: Path) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "pipelines.cli", "watch", str(folder / "pipeline.py")]
    process = subprocess.Popen(
        [*command, "--root", str(folder / "root"), "--every", "0.3"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        yield process
    finally:
        process.kill()


def until(process: "subprocess.Popen[str]", text: str) -> None:
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return
    raise AssertionError("".join(lines))


def arrive(folder: Path, number: int) -> None:
    (folder / f"span-{number}").mkdir()
    (folder / f"span-{number}" / "rows.csv").write_text("a\n" + f"{number}\n" * 90)


def rows(folder: Path) -> list[int]:
    runs = json.loads(beamfleet("runs", "--root", folder / "root", "--json"))
    found = []
    for run in runs:
        root = ("--root", folder / "root")
        summary = json.loads(beamfleet("show", run["run"], *root, "--json"))
        found.append(summary["examples"].get("rows_in"))
    return found


def test_each_span_is_run_once_whatever_is_killed(tmp_path: Path) -> None:
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    arrive(tmp_path, 1)
    with watching(tmp_path) as process:
        until(process, "span 1: running")
        until(process, "waiting")
        arrive(tmp_path, 2)
        until(process, "span 2: running")
        time.sleep(1)
        process.kill()  # the run goes on without its watch
    with watching(tmp_path) as process:
        until(process, "span 2: running")  # it cannot know: all comes from the cache
        until(process, "waiting")
        arrive(tmp_path, 3)
        until(process, "span 3: running")
        until(process, "waiting")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 143
    done = [count for count in rows(tmp_path) if count]
    assert done[0] == 90 and set(done[1:]) == {180}
    assert json.loads((tmp_path / "root" / "watched.json").read_text())["spans"] == [2, 3]
    with watching(tmp_path) as process:
        until(process, "watching")
        time.sleep(8)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 143
        assert process.stdout is not None and "running" not in process.stdout.read()
