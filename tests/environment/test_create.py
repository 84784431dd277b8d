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


def test_too_little_disk_is_one_sentence(monkeypatch):
    monkeypatch.setattr(create, "NEEDED_DISK_GB", 1e9)
    with pytest.raises(create.SetupError, match="GB of disk"):
        create._check_machine(ROOT)


def test_a_wrong_python_is_one_sentence_when_no_other_is_found(monkeypatch):
    monkeypatch.setattr(create.sys, "version_info", (3, 10, 1))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(create.SetupError, match=r"needs Python 3.11, 3.12 or 3.13"):
        create._use_supported_python()


def test_a_changed_lock_is_installed_again(checkout, monkeypatch):
    monkeypatch.setattr(create, "ROOT", checkout)
    monkeypatch.setattr(create, "MARKER", checkout / "marker")
    monkeypatch.setattr(create, "PYTHON", Path(sys.executable))
    (checkout / "marker").write_text(create._lock_key("dev") + "\n")
    assert create._is_complete("dev")
    assert create._is_complete("base"), "dev holds everything that base holds"
    with (checkout / "environment" / "dev.lock").open("a") as lock:
        lock.write("# changed\n")
    assert not create._is_complete("dev")


def test_pip_configuration_reaches_uv(monkeypatch):
    monkeypatch.setattr(create, "PYTHON", Path(sys.executable))
    monkeypatch.setenv("PIP_FIND_LINKS", "/some/wheels /more/wheels")
    monkeypatch.setenv("PIP_INDEX_URL", "https://packages.example/simple")
    monkeypatch.setenv("PIP_CERT", "/etc/some.crt")
    options, environment = create._uv_settings()
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


def test_the_lock_names_the_hash_of_the_wheel_made_here():
    made = sorted((ROOT / ".cache" / "backport").glob("*.whl"))
    if not create._glibc_is_old():
        assert not made
        return
    assert len(made) == 2
    lock = (ROOT / "environment" / "base.lock").read_text()
    for wheel in made:
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        assert f"sha256:{digest}" in lock, wheel.name
