"""The locks agree with one another, with setup.py, with the code and with the Makefile."""

import ast
import re
import shutil
import subprocess
import sys
from importlib.metadata import packages_distributions, requires
from itertools import pairwise
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from locks import LOCKS, lock_file

ROOT = Path(__file__).resolve().parents[2]
OURS = {"pipelines", "components", "user_code", "make_scenes"}


def pins(lock: str) -> set[tuple[str, str]]:
    """(name, version) of each package."""
    lines = re.findall(r"^([\w.-]+)==([^\s;]+)", lock_file(lock).read_text(), re.MULTILINE)
    return {(canonicalize_name(name), version) for name, version in lines}


def names(lock: str) -> set[str]:
    return {name for name, _ in pins(lock)}


def required(extra: str) -> list[Requirement]:
    """What setup.py asks for with an extra, and only with it."""
    found = [Requirement(line) for line in requires("beamfleet") or []]
    return [one for one in found if one.marker and one.marker.evaluate({"extra": extra})]


@pytest.mark.parametrize(("smaller", "larger"), list(pairwise(LOCKS)))
def test_a_lock_holds_the_one_before_it_to_the_version(smaller, larger):
    assert pins(smaller) < pins(larger)


@pytest.mark.parametrize(
    ("extra", "lock"),
    [
        ("captions", "captions"),
        *((e, "dev") for e in ("captions", "boosting", "export", "notebooks")),
    ],
)
def test_a_lock_holds_what_the_extra_asks_for(extra, lock):
    versions = dict(pins(lock))
    assert len(required(extra)) > 1
    for one in required(extra):
        name = canonicalize_name(one.name)
        assert name in versions, f"{lock}.lock lacks {name}: make lock"
        assert one.specifier.contains(versions[name]), (name, versions[name])


def test_the_main_job_needs_neither_torch_nor_cuda():
    heavy = {"torch", "transformers", "triton"}
    assert not heavy & names("base")
    assert heavy < names("captions")
    assert not [name for name in names("base") if name.startswith("nvidia-")]
    assert "torchvision" not in names("dev")


def test_no_lock_names_a_registry():
    for lock in [*LOCKS, "backport"]:
        assert "://" not in lock_file(lock).read_text(), lock


def test_what_the_code_imports_is_in_a_lock_that_users_have():
    extras = ("boosting", "export", "features", "notebooks")
    had = names("captions") | {canonicalize_name(o.name) for e in extras for o in required(e)}
    distributions = packages_distributions()
    found = {name for name in imported_names() if name != "google"}
    assert {"tfx", "torch", "transformers", "PIL"} <= found
    for name in found:
        made_by = {canonicalize_name(one) for one in distributions.get(name, [])}
        assert made_by & had, f"{name} is imported, but by {made_by or 'nothing'} in no lock"


def imported_names() -> set[str]:
    """Top-level names of other people's packages in ours and in the scripts of `data`."""
    modules: set[str] = set()
    for folder in ("pipelines", "components", "user_code", "data"):
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Import):
                    modules |= {alias.name for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module:
                    modules.add(node.module)
    return {name.split(".")[0] for name in modules} - sys.stdlib_module_names - OURS


@pytest.mark.skipif(not shutil.which("make"), reason="make is not on PATH")
@pytest.mark.parametrize(
    ("pipeline", "lock"), [("census", "base"), ("captions", "captions"), ("a/shop.py", "base")]
)
def test_make_run_sets_up_what_the_pipeline_needs(pipeline, lock):
    command = ["make", "--dry-run", "run", f"PIPELINE={pipeline}"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert f"environment/create.py {lock} && .venv/bin/beamfleet run {pipeline}" in printed
