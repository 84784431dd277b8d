"""The distribution installs into a clean environment and works from anywhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
UV = Path(sys.executable).with_name("uv")

pytestmark = pytest.mark.packaging


def call(*command: object, cwd: Path = Path("/"), **environment: str) -> str:
    outside = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | environment
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd, env=outside, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    call(UV, "build", "--sdist", "--no-build-isolation", "-p", sys.executable, "-o", folder, ROOT)
    [sdist] = folder.glob("beamfleet-*.tar.gz")
    return sdist


@pytest.fixture(scope="module")
def environment(sdist: Path) -> Path:
    """A new environment that holds the sdist and its locked dependencies, nothing else."""
    folder = sdist.parent / "env"
    call(UV, "venv", "-q", "-p", sys.executable, folder)
    install(folder, sdist, "base")
    return folder


def install(environment: Path, what: object, lock: str, *options: str) -> str:
    """Installs in the versions of a lock."""
    text = (ROOT / "environment" / f"{lock}.lock").read_text()
    pins = re.findall(r"^[\w.-]+==\S+(?: ; .*?)?(?= \\$)", text, re.MULTILINE)
    constraints = environment.parent / f"{lock}.txt"
    constraints.write_text("\n".join(pins))
    return call(
        UV, "pip", "install", "-p", environment / "bin" / "python", what, *options,
        "-c", constraints, "--find-links", ROOT / ".cache" / "backport",
    )  # fmt: skip


def test_it_owns_these_top_level_names_and_no_other(environment):
    [record] = environment.glob("lib/python*/site-packages/beamfleet-*.dist-info/RECORD")
    names = {line.split("/")[0] for line in record.read_text().splitlines()}
    assert {name for name in names if not name.startswith("..")} == {
        "components",
        "pipelines",
        "user_code",
        record.parent.name,
    }
    assert not (record.parents[1] / "user_code" / "__init__.py").exists(), "it would shadow theirs"


def test_a_new_project_runs_and_keeps_its_own_user_code(environment, tmp_path):
    beamfleet = environment / "bin" / "beamfleet"
    project = tmp_path / "shop"
    call(beamfleet, "init", project)
    printed = call(beamfleet, "run", project / "pipeline.py", "--root", tmp_path / "runs")
    assert "pushed" in printed.lower()
    script = "import user_code, pathlib; print([str(pathlib.Path(p)) for p in user_code.__path__])"
    paths = call(environment / "bin" / "python", "-c", script, cwd=project)
    assert str(project / "user_code") in paths


def test_the_captions_extra_adds_what_its_lock_holds_and_changes_nothing_else(environment, sdist):
    """Resolved and not installed: the libraries take gigabytes."""
    planned = install(
        environment, f"beamfleet[captions] @ {sdist.as_uri()}", "captions", "--dry-run"
    )
    added = set(re.findall(r"^ \+ ([\w.-]+)==", planned, re.MULTILINE))
    removed = set(re.findall(r"^ - ([\w.-]+)==", planned, re.MULTILINE))
    assert {"torch", "transformers", "safetensors"} <= added
    assert "torchvision" not in added
    assert removed <= {"beamfleet"}
