"""Entities whose training fails, or kills its process, cost nobody else anything."""

import os
import re
import signal
import subprocess
import sys
import time

import psutil
import pyarrow.parquet as pq
import pytest

from components.entity_trainer.pool import FitPool, warm_up
from components.errors import BeamfleetError
from tests.components.entity_trainer.training import (
    HERE,
    config_of,
    entries,
    people,
    seen_by,
    table_of,
    train,
)

REASONS = {
    "raises": "ValueError: no such luck",
    "exits": "SystemExit: 3",
    "dies": "its process ended with exit code 7",
    "segfaults": "its process was killed by SIGSEGV",
    "memory": "MemoryError: 3 GB wanted",
    "shuts": "its process was killed by SIGKILL (often: out of memory)",
}


def test_a_failing_entity_fails_alone(tmp_path):
    names = [*REASONS, "foreign", "good", "zood"]
    rows = [row for name in names for row in people(name, 3)]
    models = train(
        tmp_path / "m", table_of(rows), config_of("nasty", max_failed_share=0.9), shards=2
    )
    index = entries(models)
    reasons = {n: re.sub(r" \(functions\.py line \d+\)$", "", index[n]["reason"]) for n in REASONS}
    assert reasons == REASONS
    assert re.search(r"no such luck \(functions\.py line \d+\)$", index["raises"]["reason"])
    assert "cannot save a builtins.object" in index["foreign"]["reason"]
    assert {n for n in names if index[n]["status"] == "failed"} == {*REASONS, "foreign"}
    assert len(seen_by(models, "good")["rows"]) == 3
    assert not models.model("zood")[1] and models.model("dies")[1]
    assert models.counts["rows_failed"] == 21
    costs = pq.read_table(tmp_path / "m" / "costs.parquet").to_pylist()
    dead = {row["entity"] for row in costs if row["fit_cpu_seconds"] is None}
    assert dead == {"dies", "segfaults", "shuts"}, "what a process took that died nobody knows"
    assert {row["entity"] for row in costs} == {*names, ""}


def test_a_process_that_is_killed_once_loses_nothing(tmp_path):
    rows = [row for name in "abc" for row in people(name, 3)]
    config = config_of("killed_once", hparams={"marker": str(tmp_path / "killed")})
    models = train(tmp_path / "m", table_of(rows), config, shards=2)
    assert (tmp_path / "killed").exists()
    assert models.counts["entities_trained"] == 3


def test_too_many_failures_name_the_largest(tmp_path):
    rows = [row for n in range(4) for row in people(str(n), 3 + n)]
    config = config_of("fails_on_odd", max_failed_share=0.4)
    with pytest.raises(
        BeamfleetError, match=r"2 of 4 entities.*'3' \(6 rows\): ValueError: odd 3 \(fu"
    ):
        train(tmp_path / "m", table_of(rows), config)
    assert not (tmp_path / "m" / "manifest.json").exists()
    config = config_of("fails_on_odd", max_failed_share=0.5)
    assert train(tmp_path / "n", table_of(rows), config).counts["entities_failed"] == 2


def test_a_failed_fallback_fails_the_training(tmp_path):
    with pytest.raises(BeamfleetError, match=r"train_fn failed .*: ValueError: never \(fu"):
        train(tmp_path / "m", table_of(people("x", 3)), config_of("always_fails"))
    assert workers_alive() == []


def test_no_process_is_left(tmp_path):
    train(tmp_path / "m", table_of(people("x", 3)))
    assert workers_alive() == []


def test_closing_ends_a_long_fit():
    from components.entity_models.spec import ModelSpec
    from components.entity_trainer.fit import Fitting, Shard

    spec = ModelSpec(("city",), "income", "classification", (("age", "int64"),), ("high", "low"))
    pool = FitPool(1, f"{HERE}.slow")
    future = pool.submit(
        Fitting(f"{HERE}.slow", {}, "", spec, 1, 9, 9), Shard((_stream(),), (), True)
    )
    while not workers_alive():
        time.sleep(0.05)
    time.sleep(0.3)
    started = time.monotonic()
    pool.close()
    assert time.monotonic() - started < 4
    assert workers_alive() == []
    with pytest.raises(BeamfleetError, match="stopped"):
        future.result(timeout=5)


def test_a_killed_program_takes_its_processes_along(tmp_path):
    program = subprocess.Popen(
        [
            sys.executable, "-c",
            "from components.entity_trainer.pool import FitPool; import time;"
            f"pool = FitPool(2, '{HERE}.slow');"
            "[time.sleep(0.05) for _ in iter(lambda: all(w._pid for w in pool._workers), True)];"
            "print('ready', flush=True); time.sleep(300)",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert program.stdout.readline() == "ready\n"
    family = psutil.Process(program.pid).children(recursive=True)
    assert len(family) == 3
    os.kill(program.pid, signal.SIGKILL)
    program.wait()
    _, alive = psutil.wait_procs(family, timeout=5)
    assert not alive


def _stream() -> bytes:
    import numpy as np
    import pyarrow as pa

    from components.entity_trainer.rows import ENTITY, HASH

    batch = pa.RecordBatch.from_arrays(
        [pa.array([1]), pa.array(["low"]), pa.array(["x"]), pa.array(np.array([1], np.uint64))],
        names=["age", "income", ENTITY, HASH],
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def workers_alive() -> list[int]:
    servers = [warm_up(f"{HERE}.any")]
    return [
        child.pid
        for server in servers
        for child in psutil.Process(server._process.pid).children()
        if child.status() != psutil.STATUS_ZOMBIE
    ]
