"""What the run's model predicts, and from what: its own description of itself."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.metadata import Artifact, Node
from pipelines.report.source import Source

_OF_ENTITIES = "manifest.json"
_OF_ONE = "Format-Serving/beamfleet.json"
_KINDS = {"manifest.json": "one model for each entity", "beamfleet.json": "one TensorFlow model"}


@dataclass(frozen=True)
class Model:
    """One candidate."""

    kind: str
    """One model, or one for each entity."""
    label: str
    task: str
    classes: Sequence[str]
    entity_columns: Sequence[str]
    features: Sequence[tuple[str, str]]
    """Column and type."""
    code: str
    """Dotted path of the function that trains it."""
    hparams: Mapping[str, Any]
    """Those of all, then what a tuner found, then those of the candidate: the later win."""


def read_model(source: Source) -> Model | None:
    """The candidate of the run, or None if it trained none."""
    chosen = str(source.evaluation.get("chosen") or "")
    for node in source.run.nodes:
        artifact = node.output("model")
        candidate = str(artifact.properties.get("candidate") or "") if artifact else ""
        file = _file(artifact) if artifact and candidate in ("", chosen) else None
        if file is None:
            continue
        spec = json.loads(file.read_text(encoding="utf-8")).get("spec", {})
        if not spec.get("label"):  # an ensemble, which was given and not trained
            continue
        custom = source.parameter(node, "custom_config", {})
        hparams = custom.get("hparams") or source.parameter(node, "hparams", {})
        best = source.summary.tuning.get("best") or _found(node)
        hparams = {**hparams, **best, **custom.get("candidate_hparams", {})}
        return Model(
            kind=_KINDS[file.name],
            label=str(spec.get("label", "")),
            task=str(spec.get("task", "")),
            classes=[str(c) for c in spec.get("classes") or ()],
            entity_columns=list(spec.get("entity_columns") or ()),
            features=[(str(n), str(t)) for n, t in spec.get("features") or ()],
            code=str(node.parameters.get("train_fn") or node.parameters.get("run_fn") or "-"),
            hparams=hparams,
        )
    return None


def _found(node: Node) -> dict[str, Any]:
    """Hyperparameters that a tuner found, of this run or of an earlier one."""
    folder = next((Path(one.uri) for one in node.inputs if one.key == "hyperparameters"), None)
    file = folder / "best_hyperparameters.txt" if folder else None
    if file is None or not file.is_file():
        return {}
    return dict(json.loads(file.read_text(encoding="utf-8"))["values"])


def _file(artifact: Artifact) -> Path | None:
    """Where a model describes itself."""
    files = (Path(artifact.uri, name) for name in (_OF_ENTITIES, _OF_ONE))
    return next((file for file in files if file.is_file()), None)
