"""What a run did, in numbers: read from what its nodes published, cached ones included."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from components.errors import BeamfleetError
from components.pusher.versions import PushedVersions
from pipelines.metadata import Artifact, Run

LISTED = 20
"""Up to so many entities are all listed."""
WORST = 5

Section = Mapping[str, Any]


@dataclass(frozen=True)
class Summary:
    """The end of a run; a section is empty if the run has no such node."""

    pipeline: str
    run: str
    state: str
    seconds: float
    examples: Section = field(default_factory=dict)
    """rows_in, rows_rejected, rows_gap, rows_<split>; rejects: the file, if there are any."""
    training: Section = field(default_factory=dict)
    """entities, entities_trained, entities_small, entities_failed, rows_dropped, ..."""
    evaluation: Section = field(default_factory=dict)
    """blessed, reason, notes, overall, rows_evaluated, entities_blessed, _kept, _fallback, ..."""
    entities: tuple[Section, ...] = ()
    """The table of entities, worst first: entity, rows, metric, value, baseline, verdict, ..."""
    infra: Section = field(default_factory=dict)
    """blessed, reason, import_s, startup_s, p50_ms, p99_ms, rss_mb."""
    push: Section = field(default_factory=dict)
    """pushed, version, reason, directory; current: the version that is served by now."""
    inference: Section = field(default_factory=dict)
    """rows_in, rows, rows_failed, rows_fallback, model_version, or skipped; rows_rejected: rows
    beside rows_in that could not be read."""
    cached: tuple[str, ...] = ()
    """Nodes whose outputs came from the cache."""
    paths: Mapping[str, str] = field(default_factory=dict)
    """Where things lie."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @property
    def worst(self) -> tuple[Section, ...]:
        """The entities with the worst value of what serves them."""
        return self.entities[:WORST]


def summarise(run: Run, seconds: float | None = None) -> Summary:
    """Reads the artifacts of one run.

    Args:
      run: As `metadata.read_run` gives it.
      seconds: How long it took with all around it; None: from the first node to the last.
    """
    artifacts = {(node.name, a.key): a for node in run.nodes for a in node.outputs}

    def get(node: str, key: str) -> Artifact | None:
        return artifacts.get((node, key))

    evaluation = get("EntityEvaluator", "evaluation")
    return Summary(
        pipeline=run.pipeline,
        run=run.run_id,
        state=run.state,
        seconds=round(run.seconds if seconds is None else seconds, 3),
        examples=_examples(get("ExampleGen", "examples")),
        training=_training(get("EntityTrainer", "model")),
        evaluation=_evaluation(evaluation, get("EntityEvaluator", "blessing")),
        entities=_entities(evaluation),
        infra=_infra(get("InfraValidator", "blessing")),
        push=_push(get("Pusher", "pushed_model")),
        inference=_inference(
            get("BulkInferrer", "inference_result"), get("UnlabelledExampleGen", "examples")
        ),
        cached=tuple(node.name for node in run.nodes if node.state == "cached"),
        paths=_paths(run, artifacts),
    )


def _examples(examples: Artifact | None) -> dict[str, Any]:
    if examples is None:
        return {}
    section = {k: int(v) for k, v in examples.properties.items() if k.startswith("rows_")}
    rejects = Path(examples.uri, "rejects.parquet")
    return {**section, "rejects": str(rejects)} if rejects.exists() else section


def _training(model: Artifact | None) -> dict[str, Any]:
    return dict(_document(model, "manifest.json").get("counts", {}))


def _evaluation(evaluation: Artifact | None, blessing: Artifact | None) -> dict[str, Any]:
    if evaluation is None or blessing is None:
        return {}
    known = ("entities_", "rows_")
    section = {k: int(v) for k, v in evaluation.properties.items() if k.startswith(known)}
    overall = json.loads(evaluation.properties.get("overall") or "{}")
    return {
        "blessed": bool(blessing.properties.get("blessed")),
        "reason": blessing.properties.get("reason", ""),
        "notes": evaluation.properties.get("notes", ""),
        "overall": overall,
        **section,
    }


def _entities(evaluation: Artifact | None) -> tuple[dict[str, Any], ...]:
    if evaluation is None or not (file := Path(evaluation.uri, "entities.parquet")).exists():
        return ()
    import pyarrow.parquet as pq

    columns = [
        "entity", "rows", "metric", "value", "baseline", "fallback_value", "majority_value",
        "verdict", "serves", "p_value", "reason",
    ]  # fmt: skip
    rows = pq.read_table(file, columns=columns).to_pylist()
    return tuple(sorted(rows, key=_badness))


def served_value(row: Section) -> float | None:
    """The metric of the model that serves the entity from now on."""
    column = {"candidate": "value", "pushed": "baseline"}.get(row["serves"], "fallback_value")
    value = row[column]
    return None if value is None else float(value)


def _badness(row: Section) -> tuple[bool, float, str]:
    """Worst first, entities without a value last, ties by name."""
    value = served_value(row)
    lower_is_better = row["metric"] in ("log_loss", "mse", "rmse", "mae")
    if value is None:
        return True, 0.0, row["entity"]
    return False, -value if lower_is_better else value, row["entity"]


def _infra(blessing: Artifact | None) -> dict[str, Any]:
    if blessing is None:
        return {}
    names = ("import_s", "startup_s", "p50_ms", "p99_ms", "rss_mb", "reason")
    figures = {name: blessing.properties[name] for name in names if name in blessing.properties}
    return {"blessed": bool(blessing.properties.get("blessed")), **figures}


def _push(pushed_model: Artifact | None) -> dict[str, Any]:
    if pushed_model is None:
        return {}
    properties = pushed_model.properties
    directory = str(properties.get("pushed_destination", ""))
    return {
        "pushed": bool(properties.get("pushed")),
        "version": int(properties.get("version") or 0),
        "reason": properties.get("reason", ""),
        "directory": directory,
        "current": _current(directory),
    }


def _current(directory: str) -> int:
    """The version that the pointer names now: somebody may have pushed or rolled back since."""
    try:
        version = PushedVersions(directory).current()
    except BeamfleetError:  # the commands that serve from it say what is wrong
        return 0
    return version.number if version else 0


def _inference(result: Artifact | None, unlabelled: Artifact | None) -> dict[str, Any]:
    if result is None:
        return {}
    rejected = int(unlabelled.properties.get("rows_rejected", 0)) if unlabelled else 0
    names = ("rows_in", "rows", "rows_failed", "rows_fallback", "model_version", "skipped")
    figures = {name: result.properties[name] for name in names if name in result.properties}
    return {**figures, "rows_rejected": rejected}


def _paths(run: Run, artifacts: Mapping[tuple[str, str], Artifact]) -> dict[str, str]:
    named = {
        "examples": ("ExampleGen", "examples"),
        "models": ("EntityTrainer", "model"),
        "evaluation": ("EntityEvaluator", "evaluation"),
        "predictions": ("BulkInferrer", "inference_result"),
    }
    found = {name: artifacts[key].uri for name, key in named.items() if key in artifacts}
    return {**found, "log": str(Path(run.root, "logs", f"{run.run_id}.log"))}


def _document(artifact: Artifact | None, name: str) -> dict[str, Any]:
    if artifact is None or not (file := Path(artifact.uri, name)).exists():
        return {}
    document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return document
