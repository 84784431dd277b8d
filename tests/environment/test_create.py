"""Set-up ends in an environment or in one clear sentence."""

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import create
import glibc_backport
import locks
from locks import LOCKS, Lock
from pip_settings import uv_settings

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A clone in which nothing was set up yet."""
    shutil.copytree(ROOT / "environment", tmp_path / "environment")
    shutil.copy(ROOT / "setup.py", tmp_path)
    return tmp_path


def set_up(checkout: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "environment/create.py"],
        cwd=checkout,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_an_unreachable_registry_is_one_sentence_and_leaves_no_environment_that_counts(checkout):
    nowhere = "http://127.0.0.1:9/simple"
    done = set_up(
        checkout,
        PIP_INDEX_URL=nowhere, UV_DEFAULT_INDEX=nowhere, PIP_RETRIES="1", UV_HTTP_RETRIES="0",
        PIP_FIND_LINKS="", UV_NO_CACHE="1", PIP_NO_CACHE_DIR="1",
    )  # fmt: skip
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert "the package registry cannot be reached" in done.stderr
    assert not (checkout / ".venv" / "beamfleet-locks.txt").exists()


def test_too_little_disk_is_one_sentence_and_what_is_there_is_not_asked_for_again(
    monkeypatch, tmp_path
):
    free = shutil.disk_usage(tmp_path).free / 1e9
    created: list[str] = []
    monkeypatch.setattr(create, "VENV", tmp_path)
    monkeypatch.setattr(create, "MARKER", tmp_path / "none")
    monkeypatch.setattr(create, "_create", created.append)
    monkeypatch.setattr(create, "LOCKS", {"base": Lock(0, 0), "captions": Lock(free + 5, 0)})
    monkeypatch.setattr(sys, "argv", ["create.py", "captions"])
    with pytest.raises(SystemExit, match="GB of disk are needed"):
        create.main()
    with (tmp_path / "library.so").open("wb") as sparse:
        sparse.truncate(10 * 10**9)
    create.main()
    assert created == ["captions"]


def test_a_wrong_python_is_one_sentence_when_no_other_is_found(monkeypatch):
    monkeypatch.setattr(create.sys, "version_info", (3, 10, 1))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(create.SetupError, match=r"needs Python 3.11, 3.12 or 3.13"):
        create._use_supported_python()


@pytest.fixture
def held(checkout, monkeypatch):
    """Notes that `.venv` holds a lock in its present state, as set-up does at its end."""
    monkeypatch.setattr(locks, "ROOT", checkout)
    monkeypatch.setattr(create, "MARKER", checkout / "marker")
    monkeypatch.setattr(create, "PYTHON", Path(sys.executable))
    return create._note


def complete() -> list[str]:
    return [name for name in LOCKS if create._is_complete(name)]


def test_nothing_is_complete_at_first(held):
    assert complete() == []


@pytest.mark.parametrize("count", range(1, len(LOCKS) + 1))
def test_a_lock_completes_the_smaller_ones_and_no_larger_one(held, count):
    names = list(LOCKS)[:count]
    held(names[-1])
    assert complete() == names


def test_a_smaller_lock_leaves_the_larger_ones_complete(held):
    held("dev")
    held("base")
    assert complete() == ["base", "captions", "dev"]


@pytest.mark.parametrize("changed", ["environment/captions.lock", "setup.py"])
def test_a_changed_lock_is_installed_again(held, checkout, changed):
    held("captions")
    with (checkout / changed).open("a") as file:
        file.write("# changed\n")
    assert complete() == []
    held("captions")
    assert complete() == ["base", "captions"]


def test_what_another_state_put_over_it_is_no_longer_complete(held, checkout):
    held("dev")
    old = (checkout / "setup.py").read_text()
    (checkout / "setup.py").write_text(old + "# newer\n")
    held("base")
    (checkout / "setup.py").write_text(old)
    assert complete() == [], "the newer base was installed over it"


def test_pip_configuration_reaches_uv(monkeypatch):
    monkeypatch.setenv("PIP_FIND_LINKS", "/some/wheels /more/wheels")
    monkeypatch.setenv("PIP_INDEX_URL", "https://packages.example/simple")
    monkeypatch.setenv("PIP_CERT", "/etc/some.crt")
    options, environment = uv_settings(Path(sys.executable))
    pairs = list(zip(options[::2], options[1::2], strict=True))
    assert ("--find-links", "/some/wheels") in pairs
    assert ("--find-links", "/more/wheels") in pairs
    assert ("--default-index", "https://packages.example/simple") in pairs
    assert environment["SSL_CERT_FILE"] == "/etc/some.crt"


def test_a_wheel_with_other_bytes_is_refused(tmp_path):
    name = next(iter(glibc_backport.SHA256))
    wheel = tmp_path / f"{name}-manylinux_2_39_x86_64.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("ml_metadata/__init__.py", "")
    with pytest.raises(ValueError, match="the published file has"):
        glibc_backport.backport(wheel, tmp_path, tmp_path / "patchelf")
    assert not list(tmp_path.glob("*2_28*"))


def test_every_lock_names_the_hash_of_the_wheel_made_here():
    made = sorted((ROOT / ".cache" / "backport").glob("*.whl"))
    if not create._glibc_is_old():
        assert not made
        return
    assert len(made) == 2
    for wheel in made:
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        for name in LOCKS:
            assert f"sha256:{digest}" in locks.lock_file(name).read_text(), (wheel.name, name)
