"""Pushes that wait for a person: the Pusher under TFX's launcher, then the command."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from components.pusher.traffic import traffic_plan
from components.pusher.versions import PushedVersions
from pipelines import alerts, cli, metadata
from pipelines.summary import Summary, summarise
from tests.components.bulk_inferrer.data import make_models

pytestmark = pytest.mark.e2e


class Silent:
    def nodes(self, names: list[str]) -> None: ...
    def on(self, event: object) -> None: ...


def run(
    root: Path, run_id: str, model: str, blessed: int = 1, approve: bool = True, **pushing: Any
) -> Summary:
    """One run that evaluated a model, and pushes it once somebody approves."""
    from tfx.dsl.components.common.importer import Importer
    from tfx.orchestration import metadata as tfx_metadata
    from tfx.orchestration import pipeline
    from tfx.types import standard_artifacts as kinds

    from components.pusher.component import Pusher
    from pipelines import runner

    def imported(name: str, kind: type, uri: str, **custom: Any) -> Any:
        return Importer(uri, kind, custom_properties=custom).with_id(name)

    nodes = {
        "model": imported("Model", kinds.Model, model, candidate_uri=f"trained {model}"),
        "model_blessing": imported("B", kinds.ModelBlessing, model, blessed=blessed, reason="bad"),
        "infra_blessing": imported("I", kinds.InfraBlessing, model, blessed=1, reason=""),
    }
    pusher = Pusher(
        **{name: node.outputs["result"] for name, node in nodes.items()},
        push_destination=str(root / "pushed"),
        approval_root=str(root) if approve else "",
        **pushing,
    )
    connection = tfx_metadata.sqlite_metadata_connection_config(str(root / metadata.DATABASE))
    built = pipeline.Pipeline(
        pipeline_name="shop",
        pipeline_root=str(root / "artifacts"),
        metadata_connection_config=connection,
        components=[*nodes.values(), pusher],
        enable_cache=True,
    )
    runner.run(built, run_id, "local", Silent())
    metadata.close_runs(root, "done")
    return summary_of(root, run_id)


def summary_of(root: Path, run_id: str) -> Summary:
    return summarise(metadata.read_run(root, run_id))


def beamfleet(*arguments: str) -> int:
    return cli.main([str(argument) for argument in arguments])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture
def models(tmp_path: Path) -> list[str]:
    names = (["A"], ["A", "B"], ["A", "B", "C"])
    return [make_models(tmp_path / f"m{len(n)}", n) for n in names]


def test_a_run_waits_and_its_approval_is_kept_and_never_lost(root, models, capsys, monkeypatch):
    pushed = PushedVersions(str(root / "pushed"))
    refused = run(root, "r0", models[0], blessed=0)
    assert "approval" not in refused.push and "not blessed" in refused.push["reason"]
    assert beamfleet("approve", "r0", "--root", root, "--why", "x") == 1
    assert "nothing of run r0 waits: the model is not blessed" in capsys.readouterr().err

    first = run(root, "r1", models[0])
    assert (first.push["pushed"], first.push["approval"]) == (False, "waits")
    assert first.push["approve"] == f"beamfleet approve r1 --root {root} --why ..."
    assert first.push["approve"] in first.push["reason"]
    assert pushed.current() is None
    (root / "reports").mkdir()
    (root / "reports" / "r1.html").touch()
    told = alerts.happened(summary_of(root, "r1"))["waits_for_approval"]
    assert "approve r1" in told and str(root / "reports" / "r1.html") in told

    again = run(root, "r2", models[0])
    assert "Pusher" in again.cached
    assert again.push["approval"] == "waits" and "approve r2" in again.push["approve"]
    assert beamfleet("show", "r2", "--root", root) == 0
    assert "waits for approval" in capsys.readouterr().out

    # The version is there, the process is killed, ML Metadata knows of nothing.
    monkeypatch.setattr(metadata, "note_output", lambda *_: (_ for _ in ()).throw(OSError("dead")))
    with pytest.raises(OSError, match="dead"):
        beamfleet("approve", "r1", "--root", root, "--why", "fine", "--by", "Ada")
    monkeypatch.undo()
    assert pushed.current().number == 1
    assert summary_of(root, "r1").push["approval"] == "waits"
    assert beamfleet("approve", "r1", "--root", root, "--why", "no", "--reject") == 1
    assert "approved by Ada and is pushed already, as version 1" in capsys.readouterr().err

    capsys.readouterr()
    assert beamfleet("approve", "r1", "--root", root, "--why", "again", "--by", "Bob") == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert f"model {models[0]}" in printed and f"to {pushed.directory}" in printed
    assert [version.number for version in pushed.versions()] == [1]
    kept = pushed.current().details["approval"]
    assert (kept["run"], kept["by"], kept["why"]) == ("r1", "Ada", "fine")
    record = json.loads(Path(pushed.directory, "history.jsonl").read_text())
    assert (record["approved_by"], record["why"]) == ("Ada", "fine")
    for name in ("r1", "r2"):  # r2 took r1's from the cache
        push = summary_of(root, name).push
        assert (push["pushed"], push["version"], push["approval"]) == (True, 1, "approved")
        assert (push["approval_by"], push["approval_why"]) == ("Ada", "fine")
        assert push["approval_user"] and push["approval_time"].endswith("+00:00")
    for name in ("r1", "r2"):
        assert beamfleet("approve", name, "--root", root, "--why", "x") == 1
        assert f"run {name} evaluated was approved already by Ada" in capsys.readouterr().err

    last = run(root, "r3", models[0])
    assert "Pusher" in last.cached and (last.push["pushed"], last.push["version"]) == (True, 1)
    assert "approved by Ada" in last.push["reason"]
    [artifact] = [a for n in metadata.read_run(root, "r3").nodes for a in n.outputs
                  if a.key == "pushed_model"]  # fmt: skip
    written = json.loads(Path(artifact.uri, "pushed.json").read_text())
    assert (written["pushed"], written["label"]) == (True, "champion")


def test_only_what_was_evaluated_is_pushed_and_only_once(root, models, capsys):
    pushed = PushedVersions(str(root / "pushed"))
    pushed.push(models[0], models[0], 0, keep=5)
    one = run(root, "one", models[1])
    plan = traffic_plan({"champion": 1, "challenger": 1})
    run(root, "two", models[2], traffic=plan)
    assert one.push["version"] == 1

    whole = shutil.copytree(models[1], root / "whole")
    shutil.rmtree(models[1])
    shutil.copytree(models[2], models[1])
    assert beamfleet("approve", "one", "--root", root, "--why", "x") == 1
    assert "is not what was evaluated any more" in capsys.readouterr().err
    shutil.rmtree(models[1])
    shutil.copytree(whole, models[1])
    [shard] = Path(models[1], "shards").iterdir()
    content = shard.read_bytes()
    shard.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert beamfleet("approve", "one", "--root", root, "--why", "x") == 1
    assert "SHA-256" in capsys.readouterr().err
    shard.write_bytes(content)
    assert pushed.current().number == 1 and len(pushed.versions()) == 1

    assert beamfleet("approve", "two", "--root", root, "--why", "x", "--json") == 0
    assert json.loads(capsys.readouterr().out)["label"] == "challenger"
    assert pushed.traffic()[1].challenger == 2
    assert beamfleet("approve", "one", "--root", root, "--why", "x") == 1
    assert "version 2 is the challenger of version 1" in capsys.readouterr().err
    assert beamfleet("promote", root, "--why", "good") == 0
    assert beamfleet("approve", "one", "--root", root, "--why", "x") == 1
    assert "composed over version 1, but version 2 is current" in capsys.readouterr().err
    assert summary_of(root, "one").push["approval"] == "waits"

    assert beamfleet("approve", "one", "--root", root, "--why", "late", "--reject") == 0
    assert "will not be pushed" in capsys.readouterr().out
    push = summary_of(root, "one").push
    assert (push["approval"], push["pushed"]) == ("rejected", False)
    assert push["reason"].endswith(": late")
    assert beamfleet("approve", "one", "--root", root, "--why", "x") == 1
    assert "was rejected already" in capsys.readouterr().err
    assert pushed.current().number == 2


def test_nobody_approves_by_accident(root, capsys):
    for arguments, says in (
        (["latest", "--why", "x"], "name the run, not `latest`"),
        (["nothing", "--why", "x"], "no run 'nothing' below"),
        (["r", "--why", " "], "say --why"),
    ):
        assert beamfleet("approve", *arguments, "--root", root) == 1
        assert says in capsys.readouterr().err
    with pytest.raises(SystemExit):
        beamfleet("approve", "r1", "--root", root)


def test_what_a_split_kept_from_being_pushed_is_pushed_once_that_has_ended(root, models, capsys):
    options = {"approve": False, "traffic": traffic_plan({"champion": 9, "challenger": 1})}
    first = run(root, "a", models[0], **options)
    assert (first.push["version"], first.push["label"]) == (1, "champion")
    second = run(root, "b", models[1], **options)
    assert (second.push["version"], second.push["label"]) == (2, "challenger")
    assert second.push["current"] == 1
    assert beamfleet("show", "b", "--root", root) == 0
    assert "pushed as challenger; version 1 is the champion\n" in capsys.readouterr().out
    again = run(root, "c", models[1], **options)
    assert "Pusher" in again.cached and again.push["version"] == 2
    kept = run(root, "d", models[2], **options)
    assert (kept.push["pushed"], kept.push["version"]) == (False, 1)
    assert "version 2 is the challenger of version 1" in kept.push["reason"]
    assert "Pusher" in run(root, "e", models[2], **options).cached
    assert beamfleet("rollback", root) == 0
    assert "version 1 gets all requests again; version 2 is no challenger any more" in (
        capsys.readouterr().out
    )
    assert run(root, "f", models[2], **options).push["version"] == 3
    assert PushedVersions(str(root / "pushed")).traffic()[1].challenger == 3
