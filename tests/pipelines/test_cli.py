import json
import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from components.pusher.directory import Pointer
from pipelines import cli

HEAVY = ("tensorflow", "tfx", "apache_beam", "pandas", "numpy", "pyarrow", "sklearn", "rich")
COMMANDS = (
    *("run", "list", "runs", "show", "report", "compare", "lineage", "tensorboard", "schema"),
    *("predict", "serve", "traffic", "promote", "rollback", "approve", "init", "export"),
    "features",
)
ROOT = Path(__file__).parents[2]


def beamfleet(*arguments: str, cwd: Path | None = None) -> tuple[int, str, list[str]]:
    """Runs the command in a fresh process: exit status, what it printed, heavy modules."""
    program = (
        "import sys; from pipelines.cli import main\n"
        "try: code = main(sys.argv[1:])\n"
        "except SystemExit as end: code = end.code\n"
        f"print('HEAVY', [m for m in {HEAVY!r} if m in sys.modules]); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    output, _, heavy = done.stdout.rpartition("HEAVY ")
    return done.returncode, output + done.stderr, json.loads(heavy.replace("'", '"'))


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main([command, "--help"])
    assert end.value.code == 0
    assert f"examples:\n  beamfleet {command}" in capsys.readouterr().out


def test_help_is_light():
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    code, printed, heavy = beamfleet("run", "--help")
    assert code == 0
    assert "--orchestrator" in printed
    assert heavy == []
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 0.5


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["run", "nonsense"], 1, "no pipeline 'nonsense': give one of census"),
        (["run", "captoins"], 1, "did you mean 'captions'?"),
        (["shwo"], 2, "did you mean 'show'?"),
        (["run", "census", "--orch", "local"], 2, "unrecognized arguments: --orch"),
        (["--vers"], 2, "unrecognized arguments: --vers"),
        (["show", "--root", "nowhere"], 1, "no runs below nowhere"),
        (["run", "nowhere/pipeline.py"], 1, "there is no file nowhere/pipeline.py"),
        (["run", "census", "--data", "nowhere.csv"], 1, "no file or folder"),
        (["run", "census", "--orchestrator", "cron"], 2, "invalid choice"),
        (["runs", "--root", "nowhere"], 1, "no runs below nowhere"),
        (["show", "latest", "--root", "nowhere"], 1, "no runs below nowhere"),
        (["predict", "nowhere", "rows.csv"], 1, "no models were pushed to nowhere"),
        (["serve", "nowhere"], 1, "no models were pushed to nowhere"),
        (["rollback", "nowhere"], 1, "no models were pushed to nowhere"),
        (["promote", "nowhere"], 1, "no models were pushed to nowhere"),
        (["traffic", "nowhere"], 1, "no models were pushed to nowhere"),
        (["approve", "latest", "--why", "x"], 1, "name the run, not `latest`"),
        (["approve", "20260101-000000"], 2, "the following arguments are required: --why"),
        (["init", str(ROOT)], 1, "is not empty; choose a new folder"),
    ],
)
def test_bad_input_is_refused_in_a_sentence_without_heavy_imports(tmp_path, arguments, code, says):
    status, printed, heavy = beamfleet(*arguments, cwd=tmp_path)
    assert status == code, printed
    assert says in printed
    assert "Traceback" not in printed
    assert heavy == []


def test_version_and_help_without_a_command():
    code, printed, heavy = beamfleet("--version")
    assert (code, heavy) == (0, [])
    assert re.fullmatch(r"beamfleet (\d+\.\d+\.\d+\S*|of an unknown version .*)\n", printed)
    code, printed, heavy = beamfleet()
    assert (code, heavy) == (2, [])
    assert "usage: beamfleet" in printed
    assert "make a small project" in printed
    assert "captions of images" in printed


def test_make_says_its_targets():
    printed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True).stdout
    [phony] = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for target in set(phony.split()) - {"help"}:
        assert re.search(rf"(make|\|) {target}\b", printed), target


def test_a_folder_stands_for_its_pipeline(tmp_path):
    (tmp_path / "shop").mkdir()
    status, printed, _ = beamfleet("run", "shop", cwd=tmp_path)
    assert "there is no file shop/pipeline.py" in printed
    (tmp_path / "shop" / "pipeline.py").write_text("x = 1")
    status, printed, heavy = beamfleet("run", "shop", cwd=tmp_path)
    assert (status, heavy) == (1, [])
    assert "shop/pipeline.py has no function pipeline" in printed


def test_list_as_json(capsys):
    assert cli.main(["list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["name"] == "census"


@pytest.mark.parametrize(
    "command", [["runs", "--root"], ["show", "--root"], ["rollback"], ["run"], ["predict", "x"]]
)
def test_an_error_is_json_too_where_json_was_asked_for(command, capsys):
    assert cli.main([*command, "nowhere", "--json"]) == 1
    printed = capsys.readouterr()
    error = json.loads(printed.out)["error"]
    assert error and printed.err == f"beamfleet: {error}\n"
    assert cli.main([*command, "nowhere"]) == 1
    assert capsys.readouterr().out == ""


def test_rollback_moves_the_pointer(tmp_path, capsys):
    pushed = tmp_path / "pushed"
    for number in (1, 2):
        (pushed / str(number)).mkdir(parents=True)
        details = {"number": number, "previous_version": number - 1}
        (pushed / str(number) / "version.json").write_text(json.dumps(details))
    pointer = Pointer(2, 2)
    content = {"version": pointer.version, "highest": pointer.highest}
    (pushed / "CURRENT").write_text(json.dumps(content))

    assert cli.main(["rollback", str(tmp_path)]) == 0

    assert "version 1 is current now (it was 2)" in capsys.readouterr().out
    assert json.loads((pushed / "CURRENT").read_text())["version"] == 1
    assert cli.main(["rollback", str(tmp_path), "--to", "7"]) == 1
    assert "has no version 7" in capsys.readouterr().err
