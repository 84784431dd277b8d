import json
import signal

import pytest

from tests.e2e.beamfleet import beamfleet, left_of_session, run, running

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A new project whose first run was stopped, its second one killed, its third one left."""
    folder = tmp_path_factory.mktemp("project")
    shop, root = folder / "shop", folder / "root"
    beamfleet("init", shop)
    run_it = (shop / "pipeline.py", "--root", root)

    with running(*run_it, until="EntityTrainer: running") as stopped:
        stopped.send_signal(signal.SIGINT)
        output, _ = stopped.communicate(timeout=30)
    assert stopped.returncode == 130, output
    assert "nothing half-done is visible" in output
    assert "Traceback" not in output
    assert left_of_session(stopped.pid, 5) == []

    with running(*run_it, until="EntityEvaluator: running") as killed:
        refused = beamfleet("run", *run_it, code=1)
        killed.kill()
        killed.wait()
    assert f"another run (process {killed.pid}) works on {root}" in refused
    assert left_of_session(killed.pid, 20) == []
    assert not (root / "pushed").exists()

    return shop, root, run(*run_it)


def test_the_next_run_goes_on_after_a_stop_and_a_kill(project):
    _, root, summary = project
    assert summary["state"] == "done"
    assert {"ExampleGen", "StatisticsGen", "SchemaGen", "EntityTrainer"} <= set(summary["cached"])
    states = [one["state"] for one in json.loads(beamfleet("runs", "--root", root, "--json"))]
    assert states == ["stopped", "stopped", "done"]


def test_another_entity_label_and_task_need_only_user_code(project):
    _, _, summary = project
    assert summary["pipeline"] == "sales"
    assert summary["training"]["entities_trained"] == 6
    assert summary["evaluation"]["entities_blessed"] == 6
    composed, fallback = (summary["evaluation"]["overall"][m] for m in ("composed", "fallback"))
    assert composed["mae"] < fallback["mae"] / 2
    assert summary["push"]["version"] == 1
    assert summary["inference"] == {
        "rows_in": 43, "rows_rejected": 0, "rows": 43, "rows_failed": 0, "rows_fallback": 1,
        "model_version": 1,
    }  # fmt: skip


def test_a_new_version_is_pushed_and_rolled_back(project, tmp_path):
    shop, root, _ = project
    lines = (shop / "data" / "sales.csv").read_text().splitlines(keepends=True)
    (tmp_path / "more.csv").write_text("".join([*lines, *lines[1:400]]))
    second = run(shop / "pipeline.py", "--root", root, "--data", tmp_path / "more.csv")
    assert (second["push"]["pushed"], second["push"]["version"]) == (True, 2)
    assert second["inference"]["model_version"] == 2

    rows = shop / "data" / "sales_next_week.csv"
    new = beamfleet("predict", root, rows)
    back = json.loads(beamfleet("rollback", root, "--json"))
    assert back["version"] == 1
    old = beamfleet("predict", root, rows)
    assert old != new
    assert beamfleet("predict", root, rows, "--version", 2) == new
    beamfleet("rollback", root, "--to", 2)
    assert beamfleet("predict", root, rows) == new


def test_a_failing_train_function_is_one_sentence_with_the_log(tmp_path):
    broken = tmp_path / "broken"
    beamfleet("init", broken)
    code = broken / "user_code" / "sales.py"
    code.write_text(
        code.read_text().replace("    words = ", "    raise ValueError('too warm')\n    words = ")
    )
    output = beamfleet("run", broken / "pipeline.py", "--root", tmp_path / "root", code=1)
    last = output.strip().splitlines()[-3:]
    assert last[0].startswith("beamfleet: EntityTrainer: ")
    assert "too warm" in last[0]
    assert last[1].startswith("log: ")
    assert last[2].startswith("report: file://")
    assert "Traceback" not in output
    shown = beamfleet("show", "latest", "--root", tmp_path / "root")
    assert "too warm" in shown
