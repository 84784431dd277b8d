"""What a run did, in numbers: read from what its nodes published, cached ones included."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from components.errors import BeamfleetError
from components.example_validator.stopped import find_stopped
from components.pusher.versions import PushedVersions
from pipelines.candidates import comparison, warm_start
from pipelines.entities import Entity, read_entities
from pipelines.fairness import largest_gap
from pipelines.feature_view import features_section, online_section, stream_section
from pipelines.metadata import Artifact, Node, Run
from pipelines.report.paths import report_path

Section = Mapping[str, Any]


@dataclass(frozen=True)
class Summary:
    """The end of a run; a section is empty if the run has no such node."""

    pipeline: str
    run: str
    root: str
    state: str
    seconds: float
    features: Section = field(default_factory=dict)
    """service, version, definition, as_of, store, views (a list); of all views rows_in, rejected,
    filtered, later, duplicates, events, rows_out."""
    stream: Section = field(default_factory=dict)
    """until; of all views rows, events, late, duplicates, rejected, filtered, changes; points that
    were compared with the backfill, apart (0: parity holds), apart_by_late."""
    online: Section = field(default_factory=dict)
    """rows_in, rows, rows_failed, p50_ms, p99_ms, model_version, path; or skipped."""
    examples: Section = field(default_factory=dict)
    """rows_in, rows_rejected, rows_gap, rows_<split>; where there are any: rejects (the file),
    rows_eval_in_train, notes on the columns' types."""
    validation: Section = field(default_factory=dict)
    """anomalies (how many), found (in words, the first hundred), notes, path, proposed (columns of
    the reviewed schema that would have to change)."""
    tuning: Section = field(default_factory=dict)
    """best (hyperparameters), score (lower or higher is better, as the tuner was told), trials."""
    warm_start: Section = field(default_factory=dict)
    """uri of the model that the training started from, empty if there was none yet; notes."""
    training: Section = field(default_factory=dict)
    """entities, entities_trained, entities_small, entities_failed, rows_dropped, ..."""
    evaluation: Section = field(default_factory=dict)
    """blessed, reason, notes, overall, slices, min_eval_rows, rows_evaluated, entities_blessed,
    _kept, _fallback, ...; of one model intervals, confidence, compared_with, chosen, candidates."""
    captions: Section = field(default_factory=dict)
    """blessed, reason, notes, overall (metrics by model), intervals (low and high of the metrics),
    thresholds, ranking, slices (worst first), rows_in, rows_evaluated, rows_without_reference,
    rows_failed."""
    note: str = ""
    """What the pipeline says of its captions."""
    fairness: Section = field(default_factory=dict)
    """The largest gap between groups: column, metric, gap, highest, lowest, path."""
    entities: tuple[Entity, ...] = ()
    """The table of entities, worst first: entity, rows, metric, value, baseline, verdict, ..."""
    entity_columns: tuple[str, ...] = ()
    infra: Section = field(default_factory=dict)
    """blessed, reason, import_s, startup_s, p50_ms, p99_ms, rss_mb."""
    push: Section = field(default_factory=dict)
    """pushed, version, label, reason, directory; current: the version that is served by now, 0
    where there is none; problem: why there is none. Where a person approves: approval (waits,
    approved, rejected), approval_by, _user, _time, _why, _run; approve (the command) while it
    waits; report (a file)."""
    inference: Section = field(default_factory=dict)
    """rows_in, rows, rows_failed, rows_fallback, model_version, or skipped; rows_rejected: rows
    beside rows_in that could not be read."""
    cached: tuple[str, ...] = ()
    """Nodes whose outputs came from the cache."""
    left_out: tuple[str, ...] = ()
    """Nodes whose condition did not hold."""
    paths: Mapping[str, str] = field(default_factory=dict)
    """Where things lie."""

    @property
    def show_command(self) -> str:
        """Prints this summary with all entities and all images."""
        return f"beamfleet show {self.run} --root {shlex.quote(self.root)} --all"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def summarise(run: Run) -> Summary:
    """Reads the artifacts of one run, as `metadata.read_run` gives it."""
    artifacts = {(node.name, a.key): a for node in run.nodes for a in node.outputs}

    def get(node: str, key: str) -> Artifact | None:
        return artifacts.get((node, key))

    evaluator = "EntityEvaluator" if run.node("EntityEvaluator") else "Evaluator"
    evaluation, model = get(evaluator, "evaluation"), get("EntityTrainer", "model")
    manifest = _document(model, "manifest.json")
    entities, groups = _file(evaluation, "entities.parquet"), _file(evaluation, "fairness.parquet")
    return Summary(
        pipeline=run.pipeline,
        run=run.run_id,
        root=run.root,
        state=run.state,
        seconds=round(run.seconds, 3),
        features=features_section(run),
        stream=stream_section(run),
        online=online_section(run),
        examples=_examples(get("ExampleGen", "examples")),
        validation=_validation(get("ExampleValidator", "anomalies"), run),
        warm_start=warm_start(run),
        tuning=_tuning(get("Tuner", "tuner_results")),
        training=dict(manifest.get("counts", {})),
        evaluation=_evaluation(evaluation, get(evaluator, "blessing"), run.node(evaluator)),
        captions=_captions(
            get("CaptionEvaluator", "evaluation"),
            get("CaptionEvaluator", "blessing"),
            run.node("CaptionEvaluator"),
        ),
        note=_note(run.node("CaptionReport")),
        fairness=largest_gap(groups) if groups else {},
        entities=read_entities(entities) if entities else (),
        entity_columns=tuple(manifest.get("spec", {}).get("entity_columns", ())),
        infra=_infra(get("InfraValidator", "blessing")),
        push=_push(get("Pusher", "pushed_model"), run),
        inference=_inference(
            get("BulkInferrer", "inference_result"), get("UnlabelledExampleGen", "examples")
        ),
        cached=tuple(node.name for node in run.nodes if node.state == "cached"),
        left_out=run.left_out,
        paths=_paths(run, artifacts),
    )


def _examples(examples: Artifact | None) -> dict[str, Any]:
    if examples is None:
        return {}
    section: dict[str, Any] = {
        k: int(v) for k, v in examples.properties.items() if k.startswith("rows_")
    }
    if notes := examples.properties.get("notes"):
        section["notes"] = str(notes).splitlines()
    rejects = Path(examples.uri, "rejects.parquet")
    return {**section, "rejects": str(rejects)} if rejects.exists() else section


def _validation(anomalies: Artifact | None, run: Run) -> dict[str, Any]:
    if anomalies is None:
        path, kept = find_stopped(Path(run.root, "artifacts", "ExampleValidator"), run.run_id)
        return {**kept, "path": path} if path else {}
    # TFX keeps a JSON list as {"__value__": ...}, or as it is.
    found = anomalies.properties.get("found") or "[]"
    lines = json.loads(found) if isinstance(found, str) else list(found)
    return {
        "anomalies": int(anomalies.properties.get("anomalies", 0)),
        "found": lines.get("__value__", lines) if isinstance(lines, dict) else lines,
        "notes": anomalies.properties.get("notes", ""),
        "path": anomalies.uri,
        "proposed": json.loads(anomalies.properties.get("proposed") or "[]"),
    }


def _tuning(results: Artifact | None) -> dict[str, Any]:
    file = _file(results, "tuner_results.json")
    trials = json.loads(file.read_text(encoding="utf-8")) if file else []
    if not trials:
        return {}
    best = {name: value for name, value in trials[0].items() if name not in ("trial_id", "score")}
    return {"best": best, "score": trials[0]["score"], "trials": len(trials)}


def _evaluation(
    evaluation: Artifact | None, blessing: Artifact | None, node: Node | None
) -> dict[str, Any]:
    if evaluation is None or blessing is None or node is None:
        return {}
    known = ("entities_", "rows_")
    section = {k: int(v) for k, v in evaluation.properties.items() if k.startswith(known)}
    overall = json.loads(evaluation.properties.get("overall") or "{}")
    return {
        "blessed": bool(blessing.properties.get("blessed")),
        "reason": blessing.properties.get("reason", ""),
        "notes": evaluation.properties.get("notes", ""),
        "overall": overall,
        "slices": json.loads(node.parameters.get("slices") or "[]"),
        "min_eval_rows": int(node.parameters.get("min_eval_rows") or 0),
        **comparison(evaluation, _file(evaluation, "candidates.parquet")),
        **section,
    }


def _captions(
    evaluation: Artifact | None, blessing: Artifact | None, node: Node | None
) -> dict[str, Any]:
    if evaluation is None or blessing is None or node is None:
        return {}
    return {
        "blessed": bool(blessing.properties.get("blessed")),
        "reason": blessing.properties.get("reason", ""),
        "notes": evaluation.properties.get("notes", ""),
        "overall": json.loads(evaluation.properties.get("overall") or "{}"),
        "intervals": json.loads(evaluation.properties.get("intervals") or "{}"),
        "thresholds": json.loads(node.parameters.get("thresholds") or "{}"),
        "slices": _slices(_file(evaluation, "slices.parquet")),
        "ranking": json.loads(evaluation.properties.get("ranking") or "null"),
        **{k: int(v) for k, v in evaluation.properties.items() if k.startswith("rows_")},
    }


def _slices(file: Path | None) -> list[dict[str, Any]]:
    """Slices with an exact match, worst first; of equal ones the largest first."""
    if file is None:
        return []
    import pyarrow.parquet as pq

    names = ("exact_match", "exact_match_low", "exact_match_high")
    rows = pq.read_table(file, columns=["slice", "columns", "rows_evaluated", *names]).to_pylist()
    known = [row for row in rows if row.pop("columns") and row["exact_match"] is not None]
    return sorted(known, key=lambda row: (row["exact_match"], -row["rows_evaluated"]))


def _note(node: Node | None) -> str:
    return str(node.parameters.get("note") or "") if node else ""


def _infra(blessing: Artifact | None) -> dict[str, Any]:
    if blessing is None:
        return {}
    names = ("import_s", "startup_s", "p50_ms", "p99_ms", "rss_mb", "reason")
    figures = {name: blessing.properties[name] for name in names if name in blessing.properties}
    return {"blessed": bool(blessing.properties.get("blessed")), **figures}


def _push(pushed_model: Artifact | None, run: Run) -> dict[str, Any]:
    if pushed_model is None:
        return {}
    properties = pushed_model.properties
    directory = str(properties.get("pushed_destination", ""))
    approval = {k: v for k, v in properties.items() if k.startswith("approval") and v}
    approval.pop("approval_request", None)
    if approval.get("approval") == "waits":
        root = shlex.quote(run.root)
        approval["approve"] = f"beamfleet approve {run.run_id} --root {root} --why ..."
    report = report_path(run.root, run.run_id)
    if approval and report.is_file():
        approval["report"] = str(report)
    return {
        **approval,
        "label": properties.get("label", ""),
        "pushed": bool(properties.get("pushed")),
        "version": int(properties.get("version") or 0),
        "reason": properties.get("reason", ""),
        "directory": directory,
        **_current(directory),
    }


def _current(directory: str) -> dict[str, Any]:
    """The version that the pointer names now: somebody may have pushed or rolled back since."""
    try:
        version = PushedVersions(directory).current()
    except BeamfleetError as error:
        return {"current": 0, "problem": str(error)}
    if version is None:
        return {"current": 0, "problem": f"{directory} holds no pushed version"}
    return {"current": version.number, "problem": ""}


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
        "evaluation": (
            "EntityEvaluator" if run.node("EntityEvaluator") else "Evaluator",
            "evaluation",
        ),
        "caption evaluation": ("CaptionEvaluator", "evaluation"),
        "predictions": ("BulkInferrer", "inference_result"),
    }
    found = {name: artifacts[key].uri for name, key in named.items() if key in artifacts}
    if file := _file(artifacts.get(named["evaluation"]), "entities.parquet"):
        found["entity table"] = str(file)
    if file := _file(artifacts.get(("CaptionReport", "report")), "captions.html"):
        found["contact sheet"] = str(file)
    if (report := report_path(run.root, run.run_id)).exists():
        found["report"] = report.as_uri()
    return {**found, "log": str(Path(run.root, "logs", f"{run.run_id}.log"))}


def _file(artifact: Artifact | None, name: str) -> Path | None:
    """A file of an artifact, if it is there."""
    file = Path(artifact.uri, name) if artifact else None
    return file if file and file.exists() else None


def _document(artifact: Artifact | None, name: str) -> dict[str, Any]:
    if not (file := _file(artifact, name)):
        return {}
    document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return document
