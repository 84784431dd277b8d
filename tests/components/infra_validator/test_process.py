"""The process around the server, with small scripts in its place."""

import json
import os
import stat
import sys
import time
from pathlib import Path

import psutil
import pytest

from components.infra_validator import process
from components.infra_validator.process import ServerError, running_server


def replace_server(monkeypatch: pytest.MonkeyPatch, folder: Path, body: str) -> None:
    """Makes `python -m components.model_server URI --port=0 --status-file=F ...` run `body`."""
    script = folder / "python"
    script.write_text(f"#!{sys.executable}\nimport json, os, signal, subprocess, sys, time\n{body}")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(process.sys, "executable", str(script))


def test_a_server_that_ends_is_noticed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    replace_server(monkeypatch, tmp_path, "print('no luck'); sys.exit(7)")
    with running_server("store", tmp_path / "run") as server:
        with pytest.raises(ServerError, match="exited with status 7"):
            server.wait_until_ready()
        assert server.log_tail() == ["no luck"]


def test_a_killed_server_is_named_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    replace_server(monkeypatch, tmp_path, "os.kill(os.getpid(), signal.SIGKILL)")
    with (
        running_server("store", tmp_path / "run") as server,
        pytest.raises(ServerError, match="was killed by SIGKILL"),
    ):
        server.wait_until_ready()


def test_the_reason_of_a_failed_start_is_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    status = json.dumps({"state": "failed", "reason": "nothing there"})
    body = f"""
path = sys.argv[5].partition("=")[2]
open(path + ".new", "w").write({status!r})
os.rename(path + ".new", path)
sys.exit(1)
"""
    replace_server(monkeypatch, tmp_path, body)
    with (
        running_server("store", tmp_path / "run") as server,
        pytest.raises(ServerError, match="could not start: nothing there"),
    ):
        server.wait_until_ready()


def test_a_server_that_is_never_ready_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(process, "_IMPORT_S", 0.2)
    replace_server(monkeypatch, tmp_path, "time.sleep(60)")
    with (
        running_server("store", tmp_path / "run") as server,
        pytest.raises(ServerError, match="was still importing after"),
    ):
        server.wait_until_ready()


def test_nothing_is_left_of_a_server_that_does_not_listen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(process, "_STOP_S", 0.3)
    body = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen(["sleep", "60"])
folder = os.path.dirname(sys.argv[5].partition("=")[2])
open(os.path.join(folder, "child"), "w").write(str(child.pid))
time.sleep(60)
"""
    replace_server(monkeypatch, tmp_path, body)
    child_file = tmp_path / "run" / "child"
    with pytest.raises(KeyboardInterrupt), running_server("store", tmp_path / "run"):
        while not child_file.exists() or not child_file.read_text():
            time.sleep(0.02)
        raise KeyboardInterrupt
    child = int(child_file.read_text())
    for _ in range(50):
        if not psutil.pid_exists(child) or psutil.Process(child).status() == "zombie":
            break
        time.sleep(0.02)
    else:
        raise AssertionError("the server's child is still running")


def test_the_server_imports_from_where_we_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.syspath_prepend(str(tmp_path / "user"))
    replace_server(monkeypatch, tmp_path, "print(os.environ['PYTHONPATH'])")
    with running_server("store", tmp_path / "run") as server:
        server.wait()
        [path] = server.log_tail()
    assert path.split(os.pathsep)[0] == str(tmp_path / "user")
