import io
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from components.errors import BeamfleetError
from components.outcome import RunOutcome
from pipelines import cli, metadata
from pipelines.commands.run import _call_on_exit
from pipelines.events import CACHED, DONE, FAILED, SKIPPED, STARTED, NodeEvent
from pipelines.lock import only_run_on
from pipelines.pipeline import Pipeline
from pipelines.progress import LiveProgress, PlainProgress
from pipelines.render import console, plain_table
from pipelines.runner import new_run_id

ROOT = Path(__file__).parents[2]


def python(program: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_a_second_run_on_the_same_root_is_refused(tmp_path):
    holder = python(
        "import sys, time; from pathlib import Path; from pipelines.lock import only_run_on\n"
        "with only_run_on(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)",
        str(tmp_path),
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    with (
        pytest.raises(BeamfleetError, match=f"another run .process {holder.pid}."),
        only_run_on(tmp_path),
    ):
        pass
    holder.kill()
    holder.wait()
    with only_run_on(tmp_path):  # a killed run leaves no lock behind
        pass


def test_a_root_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(BeamfleetError, match="cannot be the root"), only_run_on(tmp_path / "file"):
        pass


def test_noise_goes_to_the_log_and_our_words_to_the_terminal(tmp_path):
    program = (
        "import os, sys; from pathlib import Path; from pipelines.noise import output_to\n"
        "with output_to(Path(sys.argv[1])) as terminal:\n"
        "  print('from python'); os.system('echo from a child'); os.write(2, b'from C\\n')\n"
        "  import logging; logging.info('from logging')\n"
        "  print('ours', file=terminal)\n"
        "logging.info('after'); print('end')"
    )
    log = tmp_path / "run.log"
    printed, _ = python(program, str(log)).communicate()
    assert printed.splitlines() == ["ours", "end"]
    noise = log.read_text()
    assert all(f"from {who}" in noise for who in ("python", "a child", "C", "logging"))
    assert "after" not in noise


def test_plain_progress_has_one_line_an_event(tmp_path):
    path = tmp_path / "out"
    with path.open("w") as stream, PlainProgress(stream) as progress:
        progress.stage("Loading")
        progress.nodes(["A", "B", "C"])
        for event in (
            NodeEvent("A", STARTED),
            NodeEvent("A", DONE, 1.25),
            NodeEvent("B", CACHED, 0.1),
            NodeEvent("C", FAILED, 2.0),
            NodeEvent("D", SKIPPED, 0.2, "nothing is there"),
        ):
            progress.on(event)
    lines = [line.split(" ", 1)[1] for line in path.read_text().splitlines()]
    assert lines == [
        "Loading", "3 nodes: A, B, C", "A: running", "A: done (1.2 s)", "B: from cache (0.1 s)",
        "C: failed (2.0 s)", "D: skipped: nothing is there (0.2 s)",
    ]  # fmt: skip


def test_the_live_table_says_why_a_node_was_skipped():
    screen = Console(file=io.StringIO(), width=100)
    progress = LiveProgress(screen, "captions")
    progress.nodes(["A", "B"])
    for event in (NodeEvent("A", STARTED), NodeEvent("A", SKIPPED, 0.2, "nothing is there")):
        progress.on(event)
    screen.print(progress._table())
    rows = [" ".join(line.split()) for line in screen.file.getvalue().splitlines()]
    assert rows[-2:] == ["○ A skipped: nothing is there 0.2 s", "· B waiting"]


def test_a_closed_pipe_does_not_end_a_run(tmp_path):
    program = (
        "import sys; from pathlib import Path\n"
        "from components.progress import tell; from pipelines.noise import output_to\n"
        "from pipelines.progress import noted, progress_on; from pipelines.render import console\n"
        "sys.stdin.read()\n"
        "with output_to(Path(sys.argv[1])) as terminal:\n"
        "  with progress_on(terminal, 'x', silent=False) as progress, noted(progress):\n"
        "    progress.stage('Loading')\n"
        "    import components.progress; components.progress._EVERY_S = 0\n"
        "    for _ in range(9): tell('work', 9, 'images')\n"
        "for _ in range(9): console().print('x' * 9_000)\n"
        "Path(sys.argv[1]).write_text('at the end')"
    )
    read, write = os.pipe()
    run = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "log")],
        stdin=subprocess.PIPE,
        stdout=write,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    os.close(write)
    os.close(read)
    _, errors = run.communicate()
    assert (run.returncode, errors) == (0, b"")
    assert (tmp_path / "log").read_text() == "at the end"


def test_two_runs_in_one_second_have_two_names(tmp_path):
    names = {new_run_id(tmp_path) for _ in range(3)}
    assert len(names) == 3
    assert {path.stem for path in (tmp_path / "logs").iterdir()} == names


@pytest.fixture
def store(tmp_path):
    from ml_metadata import MetadataStore
    from ml_metadata.proto import metadata_store_pb2

    config = metadata_store_pb2.ConnectionConfig()
    config.sqlite.filename_uri = str(tmp_path / metadata.DATABASE)
    config.sqlite.connection_mode = 3
    return MetadataStore(config)


def put_run(store, run_id: str, states: dict[str, str]) -> None:
    """Writes what TFX's launcher writes: executions in the contexts pipeline, run and node."""
    from ml_metadata.proto import metadata_store_pb2 as pb

    types = {
        name: store.put_context_type(pb.ContextType(name=name))
        for name in ("pipeline", "pipeline_run", "node")
    }
    execution_type = store.put_execution_type(pb.ExecutionType(name="T"))
    for node, state in states.items():
        execution = pb.Execution(
            type_id=execution_type, last_known_state=pb.Execution.State.Value(state)
        )
        contexts = [
            pb.Context(type_id=types["pipeline"], name="shop"),
            pb.Context(type_id=types["pipeline_run"], name=run_id),
            pb.Context(type_id=types["node"], name=f"shop.{node}"),
        ]
        store.put_execution(execution, [], contexts, reuse_context_if_already_exist=True)
        time.sleep(0.002)  # started one after the other


def test_runs_and_their_states_are_read_back(tmp_path, store):
    put_run(store, "run-1", {"ExampleGen": "COMPLETE", "Trainer": "CACHED"})
    metadata.close_runs(tmp_path, "done")
    put_run(store, "run-2", {"ExampleGen": "COMPLETE", "Trainer": "FAILED"})
    metadata.close_runs(tmp_path, "failed")
    first, second = metadata.read_runs(tmp_path)
    assert (first.run_id, first.pipeline, first.state) == ("run-1", "shop", "done")
    assert [(node.name, node.state) for node in first.nodes] == [
        ("ExampleGen", "done"),
        ("Trainer", "cached"),
    ]
    assert second.state == "failed"
    with pytest.raises(BeamfleetError, match=r"no run 'run-3'; the latest are: run-1, run-2"):
        metadata.read_run(tmp_path, "run-3")


def test_a_run_takes_as_long_as_all_of_it(tmp_path, store):
    with metadata.timed(tmp_path, "run-1"):
        time.sleep(0.2)  # loading TFX
        put_run(store, "run-1", {"ExampleGen": "COMPLETE"})
    put_run(store, "run-2", {"ExampleGen": "COMPLETE"})  # killed
    loaded, killed = metadata.read_runs(tmp_path)
    assert loaded.seconds >= 0.2
    assert metadata.read_run(tmp_path, "run-1").seconds == loaded.seconds
    assert killed.seconds < 0.2


def test_a_run_that_started_no_node_has_no_time(tmp_path):
    with metadata.timed(tmp_path, "run-1"):
        pass
    assert metadata.find_roots(tmp_path) == []  # and leaves no database behind


def test_what_is_redirected_has_no_padding(capsys):
    table = plain_table("name", "value")
    table.add_row("a", "1")
    console().print(table)
    lines = capsys.readouterr().out.splitlines()
    assert any("name" in line for line in lines)
    assert [line.rstrip() for line in lines] == lines


def test_executions_that_a_killed_run_left_open_are_closed(tmp_path, store):
    put_run(store, "run-1", {"ExampleGen": "COMPLETE", "Trainer": "RUNNING"})
    with only_run_on(tmp_path):
        assert metadata.read_run(tmp_path, "run-1").state == "running"
    assert metadata.read_run(tmp_path, "run-1").state == "stopped"
    metadata.close_runs(tmp_path, "stopped", "the process was killed")
    run = metadata.read_run(tmp_path, "run-1")
    assert run.state == "stopped"
    assert [node.error for node in run.nodes] == ["", "the process was killed"]


def test_the_reason_of_a_failed_node_is_kept(tmp_path, store):
    put_run(store, "run-1", {"ExampleGen": "COMPLETE", "Trainer": "FAILED"})
    metadata.note_error(tmp_path, "run-1", "Trainer", "no rows")
    assert [node.error for node in metadata.read_run(tmp_path, "run-1").nodes] == ["", "no rows"]


def test_a_terminal_obeys_no_name_in_a_reason(tmp_path, store, capsys):
    put_run(store, "run-1", {"ExampleGen": "FAILED"})
    metadata.note_error(tmp_path, "run-1", "ExampleGen", "a\x1b[31m[/].png is empty\nlog: x")
    assert cli.main(["show", "run-1", "--root", str(tmp_path)]) == 0
    assert "ExampleGen: a\\x1b[31m[/].png is empty\nlog: x\n" in capsys.readouterr().out
    assert cli.main(["rollback", str(tmp_path / "a\x1b[2J")]) == 1
    assert r"a\x1b[2J" in capsys.readouterr().err


def test_roots_are_found_in_a_folder_or_as_one(tmp_path):
    for name in ("b", "a"):
        (tmp_path / name).mkdir()
        (tmp_path / name / metadata.DATABASE).touch()
    assert metadata.find_roots(tmp_path) == [tmp_path / "a", tmp_path / "b"]
    assert metadata.find_roots(tmp_path / "a") == [tmp_path / "a"]


def test_what_the_exit_function_raises_fails_the_command(tmp_path, capsys):
    pipeline = Pipeline("small", root=tmp_path)
    assert _call_on_exit(pipeline, "1", "done")
    pipeline.on_exit("tests.pipelines.test_running.exit_fn")
    assert _call_on_exit(pipeline, "1", "done")
    assert not _call_on_exit(pipeline, "1", "failed", "no rows")
    assert capsys.readouterr().err.startswith("beamfleet: tests.pipelines.test_running.exit_fn fai")
    assert not _call_on_exit(pipeline, "exits", "failed")  # 0 would say that all went well


def exit_fn(outcome):
    if outcome.run == "exits":
        raise SystemExit(0)
    assert outcome == RunOutcome("small", "1", outcome.root, "done")
