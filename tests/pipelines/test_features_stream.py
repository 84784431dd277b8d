"""The command `beamfleet features stream`, on the stream of the payments sample."""

import json
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from components.feature_store.store import FeatureStore
from pipelines.cli import main
from user_code.payments import user_checkout

VIEW = "user_code.payments.user_checkout"


def test_it_streams_until_idle_and_says_what_it_did(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    FeatureStore(tmp_path / "features").apply(user_checkout)  # as in the root of a pipeline
    command = ["features", "stream", "--store", str(tmp_path), "--features", VIEW, "--until-idle"]
    assert main([*command, "--json", "--at-idle", "2024-06-30"]) == 0
    [made] = json.loads(capsys.readouterr().out)["views"]
    counts = made["counts"]
    parts = sum(counts[name] for name in ("events", "late", "duplicates", "rejected", "filtered"))
    assert counts["rows"] == parts > counts["late"] > 0
    assert datetime.fromisoformat(made["watermark"]) == datetime(2024, 6, 30, tzinfo=UTC)
    assert main(command) == 0  # there is nothing more
    told = capsys.readouterr().out
    assert "in all runs on this store:" in told and f"{counts['rows']:,}" in told
    assert main([*command, "--at-idle", "soon"]) == 1
    said = capsys.readouterr().err
    assert "--at-idle is 'soon', expected a day or a time" in said and "or stay, or now" in said


def test_ctrl_c_ends_it_in_good_order(tmp_path: Path) -> None:
    FeatureStore(tmp_path).apply(user_checkout)
    command = [sys.executable, "-m", "pipelines.cli", "features", "stream", "--json"]
    command += ["--store", str(tmp_path), "--features", VIEW]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    for _ in range(600):
        if list(tmp_path.glob("stream/*/*/changes-*.parquet")):
            break
        time.sleep(0.1)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    report = json.loads(out)
    assert process.returncode == 130 and report["interrupted"]
    assert report["views"][0]["counts"]["events"] > 0


@pytest.mark.parametrize("command", [["stream", "--features", VIEW], ["serve", "--service", VIEW]])
def test_a_store_that_is_not_there_is_not_made(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = tmp_path / "nowhere"
    assert main(["features", *command, "--store", str(nowhere)]) == 1
    assert f"no feature store at {nowhere}" in capsys.readouterr().err.replace("\n", " ")
    assert not nowhere.exists()


def test_vectors_are_served_from_the_root_of_a_pipeline(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    FeatureStore(tmp_path / "features").apply(user_checkout)
    named = "user_code.payments.fraud"
    assert main(["features", "serve", "--store", str(tmp_path), "--service", named]) == 1
    assert "say with what which training split" in capsys.readouterr().err.replace("\n", " ")
