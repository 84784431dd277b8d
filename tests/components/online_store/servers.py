"""Real databases on the loopback, with folders of their own."""

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def redis_server(folder: Path, password: str = "") -> Iterator[str]:
    """Its URI; skips the test where there is no redis-server."""
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("no redis-server on this machine (Debian's package redis-server)")
    port = free_port()
    secured = ["--requirepass", password] if password else []
    command = [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", *secured]
    with subprocess.Popen([*command, "--dir", str(folder)], stdout=subprocess.DEVNULL) as server:
        try:
            _wait_for(port, server)
            yield f"redis://{f':{password}@' if password else ''}127.0.0.1:{port}/0"
        finally:
            server.kill()


@contextmanager
def postgres_server(folder: Path, password: str = "") -> Iterator[str]:
    """Its URI; skips the test where there is no PostgreSQL."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    on_path = shutil.which("initdb")
    if not found and on_path is None:
        pytest.skip("no PostgreSQL on this machine (Debian's package postgresql)")
    binaries = found[-1] if found else Path(str(on_path)).parent
    data, secret = folder / "data", folder / "password"
    secret.write_text(password or "unused")
    user = _not_root(folder)
    way = ["--auth=scram-sha-256", f"--pwfile={secret}"] if password else ["--auth=trust"]
    made = [binaries / "initdb", "-D", data, "-U", "fleet", "--no-sync", *way]
    subprocess.run(made, check=True, stdout=subprocess.DEVNULL, user=user, cwd=folder)
    port = free_port()
    settings = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off"]
    command = [binaries / "postgres", "-D", data, "-p", str(port)]
    command += [part for setting in settings for part in ("-c", setting)]
    log = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=log, stderr=log, user=user, cwd=folder) as server:
        try:
            _wait_for(port, server)
            login = f"fleet:{password}" if password else "fleet"
            yield f"postgresql://{login}@127.0.0.1:{port}/postgres"
        finally:
            server.kill()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _not_root(folder: Path) -> str | None:
    """PostgreSQL refuses to run as root."""
    if os.getuid() != 0:
        return None
    try:
        pwd.getpwnam("postgres")
    except KeyError:
        pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
    for one in folder.parents:
        if one.stat().st_uid == 0 and not one.stat().st_mode & 0o001:
            pytest.skip(f"user postgres may not enter {one}")
    shutil.chown(folder, "postgres")
    return "postgres"


def _wait_for(port: int, server: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        assert server.poll() is None, "the database ended at once"
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError(f"nothing answers on port {port}")
