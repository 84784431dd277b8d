"""Looks up feature vectors, ours beside feast's: in process and over HTTP, 1 and 100 rows.

    python -m benchmarks.features_online --case online-sqlite

10,000 cards, two views with five features, the same rows in both stores, which lie in SQLite files
or in one Redis that this starts. Each way has a server process with one worker of its own. The ways
take turns, a batch of requests each, with keys drawn at random and connections that stay open.

Prints one JSON line a case: milliseconds at the median and the 99th percentile of each way.
`quiet_p99_ms` is that of the round in which it was lowest: where others use the machine, the 99th
percentile of all says how long a process waited for a core. `ratio_http_1` is our median over
feast's for one row over HTTP, `within_5_ms` whether our 99th percentile is below the target, of all
rounds and of the quietest. `cpu_s` is what each server used for the same requests.
"""

import argparse
import contextlib
import http.client
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import psutil

from benchmarks._features_declared import CARDS, feast_repository, fraud, rows
from components.feature_vectors import FeatureVectors
from components.online_store import open_online_store

ROOT = Path(__file__).resolve().parents[1]
ROUNDS = 10
REQUESTS = {1: 100, 100: 20}
"""Rows of a request -> requests of a round."""
TARGET_MS = 5.0
CASES = ("online-sqlite", "online-redis")
Ask = Callable[[list[str]], Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", choices=CASES)
    parser.add_argument("--list", action="store_true", help="name the cases and stop")
    arguments = parser.parse_args()
    for case in [arguments.case] if arguments.case else CASES:
        print(case if arguments.list else json.dumps(measure(case)))


def measure(case: str) -> dict[str, Any]:
    """Starts what the case needs, and asks in turns."""
    os.environ["FEAST_USAGE"] = "False"
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ways, processes = _ways(case, folder, stack)
        _compare(ways)
        before = {name: _cpu_s(one) for name, one in processes.items()}
        times = _ask_in_turns(ways)
        cpu = {name: round(_cpu_s(one) - before[name], 1) for name, one in processes.items()}
    result: dict[str, Any] = {"case": case}
    for name, of_sizes in times.items():
        for size, found in of_sizes.items():
            result |= {f"{name}_{size}_p{p}_ms": _percentile(found, p) for p in (50, 99)}
            rounds = [found[i : i + REQUESTS[size]] for i in range(0, len(found), REQUESTS[size])]
            quiet = min(_percentile(one, 99) for one in rounds)
            result[f"{name}_{size}_quiet_p99_ms"] = quiet
    ours, feast = result["ours_http_1_p50_ms"], result["feast_http_1_p50_ms"]
    return result | {
        "ratio_http_1": round(ours / feast, 3),
        "within_5_ms": result["ours_http_1_p99_ms"] < TARGET_MS,
        "within_5_ms_quiet": result["ours_http_1_quiet_p99_ms"] < TARGET_MS,
        "cpu_s": cpu,
    }


def _ways(
    case: str, folder: Path, stack: contextlib.ExitStack
) -> tuple[dict[str, Ask], dict[str, psutil.Process]]:
    if case == "online-redis":
        port = stack.enter_context(_redis(folder))
        uri, online = (
            f"redis://127.0.0.1:{port}/0",
            f"  type: redis\n  connection_string: 127.0.0.1:{port},db=1\n",
        )
    else:
        uri, online = f"sqlite:///{folder}/online.db", "  type: sqlite\n  path: online.db\n"
    store = open_online_store(uri)
    for view in (fraud.views[0].view, fraud.views[1].view):
        store.write(view, rows()[view.name])
    vectors = FeatureVectors(fraud, store)
    feast_repository(folder / "feast", online)
    feast = _feast(folder / "feast")
    names = list(fraud.features)
    ours_http, ours = stack.enter_context(_our_server(folder, uri))
    feast_http, theirs = stack.enter_context(_feast_server(folder / "feast"))
    processes = {"ours_http": psutil.Process(ours), "feast_http": psutil.Process(theirs)}
    ways: dict[str, Ask] = {
        "ours": lambda keys: vectors.read(
            pl.DataFrame({"card_id": keys}), datetime.now(UTC)
        ).inputs.to_dict(as_series=False),
        "feast": lambda keys: _of(
            feast.get_online_features(
                features=feast.get_feature_service("fraud"),
                entity_rows=[{"card_id": key} for key in keys],
            ).to_dict(),
            names,
        ),
        "ours_http": lambda keys: _by_column(
            _post(ours_http, "/vectors", {"rows": [{"card_id": key} for key in keys]})["rows"]
        ),
        "feast_http": lambda keys: _feast_answer(
            _post(
                feast_http,
                "/get-online-features",
                {"feature_service": "fraud", "entities": {"card_id": keys}},
            ),
            names,
        ),
    }
    return ways, processes


def _compare(ways: dict[str, Ask]) -> None:
    """All give the same values before any is timed."""
    keys = ["card-000005", "card-009999", "card-000005"]
    answers = {name: ask(keys) for name, ask in ways.items()}
    assert all(one == answers["ours"] for one in answers.values()), answers


def _ask_in_turns(ways: dict[str, Ask]) -> dict[str, dict[int, list[float]]]:
    draw = random.Random(0)
    times: dict[str, dict[int, list[float]]] = {n: {s: [] for s in REQUESTS} for n in ways}
    for number in range(ROUNDS + 1):
        for size, requests in REQUESTS.items():
            for name, ask in ways.items():
                for _ in range(requests):
                    keys = [f"card-{draw.randrange(CARDS):06d}" for _ in range(size)]
                    started = time.perf_counter()
                    ask(keys)
                    if number:  # the first round warms up
                        times[name][size].append((time.perf_counter() - started) * 1000)
    return times


def _feast(folder: Path) -> Any:
    environment = {**os.environ, "FEAST_USAGE": "False"}
    feast = [sys.executable, "-m", "feast.cli.cli", "-c", str(folder)]
    subprocess.run([*feast, "apply"], check=True, cwd=folder, env=environment, stdout=2)
    from feast import FeatureStore

    store = FeatureStore(str(folder))
    for name, frame in rows().items():
        store.write_to_online_store(name, frame.to_pandas())
    return store


@contextlib.contextmanager
def _our_server(folder: Path, uri: str) -> Iterator[tuple[http.client.HTTPConnection, int]]:
    command = [sys.executable, "-m", "pipelines.cli", "features", "serve", "--json", "--port", "0"]
    command += ["--store", str(folder), "--service", "benchmarks._features_declared.fraud"]
    environment = {**os.environ, "BEAMFLEET_ONLINE_STORE": uri}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    ) as server:
        assert server.stdout
        port = int(json.loads(server.stdout.readline())["url"].rpartition(":")[2])
        try:
            yield _connection(port), server.pid
        finally:
            server.terminate()


@contextlib.contextmanager
def _feast_server(folder: Path) -> Iterator[tuple[http.client.HTTPConnection, int]]:
    port = _free_port()
    command = [sys.executable, "-m", "feast.cli.cli", "-c", str(folder), "serve", "--workers", "1"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--no-access-log"]
    command += ["--max-requests", "1000000"]  # it restarts its worker after 1,000 otherwise
    with subprocess.Popen(
        command, cwd=folder, stdout=2, env={**os.environ, "HOME": str(folder)}
    ) as server:
        try:
            _wait_for(port)
            yield _connection(port), server.pid
        finally:
            server.terminate()


@contextlib.contextmanager
def _redis(folder: Path) -> Iterator[int]:
    binary = shutil.which("redis-server")
    if binary is None:
        sys.exit("this case needs redis-server (Debian's package redis-server)")
    port = _free_port()
    command = [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with subprocess.Popen([*command, "--dir", str(folder)], stdout=subprocess.DEVNULL) as server:
        try:
            _wait_for(port)
            yield port
        finally:
            server.terminate()


def _connection(port: int) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.connect()
    # The body follows the head in a packet of its own: it must not wait for an acknowledgement.
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _post(connection: http.client.HTTPConnection, path: str, body: Any) -> Any:
    connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
    response = connection.getresponse()
    content = response.read()
    if response.status != 200:
        raise RuntimeError(f"{path}: {response.status} {content[:500]!r}")
    return json.loads(content)


def _by_column(found: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in found] for name in found[0]}


def _of(answer: dict[str, Any], names: list[str]) -> dict[str, list[Any]]:
    return {name: answer[name] for name in names}


def _feast_answer(answer: dict[str, Any], names: list[str]) -> dict[str, list[Any]]:
    columns = answer["metadata"]["feature_names"]
    values = [one["values"] for one in answer["results"]]
    return _of(dict(zip(columns, values, strict=True)), names)


def _cpu_s(process: psutil.Process) -> float:
    """Of it and its workers."""
    times = [one.cpu_times() for one in [process, *process.children(recursive=True)]]
    return sum(one.user + one.system for one in times)


def _percentile(found: list[float], percent: int) -> float:
    ordered = sorted(found)
    return round(ordered[min(len(ordered) - 1, len(ordered) * percent // 100)], 2)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _wait_for(port: int) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise RuntimeError(f"nothing answers on port {port}")


if __name__ == "__main__":
    main()
