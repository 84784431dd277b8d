"""What the run's model predicts, and from what: its own description of itself."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.report.source import Source

_FILES = (
    ("EntityTrainer", "manifest.json"),
    ("Trainer", "Format-Serving/beamfleet.json"),
)


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


def read_model(source: Source) -> Model | None:
    """The candidate of the run, or None if it trained none."""
    for name, file in _FILES:
        artifact, node = source.artifact(name, "model"), source.run.node(name)
        if artifact is None or node is None or not Path(artifact.uri, file).is_file():
            continue
        spec = json.loads(Path(artifact.uri, file).read_text(encoding="utf-8")).get("spec", {})
        custom = source.parameter(node, "custom_config", {})
        hparams = custom.get("hparams") or source.parameter(node, "hparams", {})
        return Model(
            kind="one model for each entity" if name == "EntityTrainer" else "one TensorFlow model",
            label=str(spec.get("label", "")),
            task=str(spec.get("task", "")),
            classes=[str(c) for c in spec.get("classes") or ()],
            entity_columns=list(spec.get("entity_columns") or ()),
            features=[(str(n), str(t)) for n, t in spec.get("features") or ()],
            code=str(node.parameters.get("train_fn") or node.parameters.get("run_fn") or "-"),
            hparams=dict(hparams),
        )
    return None
