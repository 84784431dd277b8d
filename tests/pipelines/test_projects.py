import os
import subprocess
import sys
from pathlib import Path

import pytest

from components.errors import BeamfleetError
from pipelines import steps
from pipelines.commands.init import make_project
from pipelines.projects import load_pipeline

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _same_path(monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("PYTHONPATH", os.environ.get("PYTHONPATH", ""))


def test_a_new_project_loads_and_passes_the_checks(tmp_path):
    make_project(tmp_path / "shop")
    pipeline = load_pipeline(str(tmp_path / "shop" / "pipeline.py"), tmp_path / "root")
    pipeline.check()
    assert pipeline.name == "sales"
    assert pipeline._steps[steps.TrainPerEntity].config.missing == "keep"
    assert "store" in pipeline._steps[steps.BulkInfer].options["output_columns"]
    assert pipeline.root == tmp_path / "root"
    assert sys.path[0] == str(tmp_path / "shop")
    assert os.environ["PYTHONPATH"].split(os.pathsep)[0] == str(tmp_path / "shop")


def test_a_projects_own_data_can_be_replaced(tmp_path):
    make_project(tmp_path / "shop")
    pipeline = load_pipeline(
        str(tmp_path / "shop" / "pipeline.py"), None, data=str(tmp_path / "gone.csv")
    )
    with pytest.raises(BeamfleetError, match=r"gone\.csv"):
        pipeline.check()


def test_a_projects_user_code_wins_over_ours_and_ours_stays_beside_it(tmp_path):
    make_project(tmp_path)
    (tmp_path / "user_code" / "census.py").write_text("mine = True\n")
    program = (
        "import sys; from pathlib import Path; from pipelines.projects import add_project;"
        "import user_code;"  # found at our place before the project is known
        "add_project(Path(sys.argv[1]));"
        "import user_code.census, user_code.sales; print(user_code.census.mine)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.stdout.strip() == "True", done.stderr


def test_init_refuses_a_folder_with_content_and_leaves_it_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(BeamfleetError, match="is not empty"):
        make_project(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("x = 1", "has no function pipeline"),
        ("def pipeline(data): ...", "does not take root"),
        ("def pipeline(root): ...", "takes no --data"),
        ("def pipeline(root, data): return 3", "returned int"),
        ("def pipeline(:", "line 1"),
    ],
)
def test_a_file_without_a_pipeline_is_refused(tmp_path, content, says):
    (tmp_path / "p.py").write_text(content)
    with pytest.raises(BeamfleetError, match=says):
        load_pipeline(str(tmp_path / "p.py"), None, data="rows.csv", images=None)


def test_a_projects_test_passes(tmp_path):
    make_project(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout
