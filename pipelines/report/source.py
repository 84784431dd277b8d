"""The run that a report is about."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.metadata import Artifact, Node, Run
from pipelines.summary import Summary

EVALUATORS = ("EntityEvaluator", "Evaluator")


@dataclass(frozen=True, eq=False)
class Source:
    """What ML Metadata and the summary say of one run."""

    run: Run
    summary: Summary
    folder: Path
    """Where the report will lie: links are relative to it."""

    def artifact(self, node: str, key: str) -> Artifact | None:
        """An output of a node, if there is one."""
        found = self.run.node(node)
        return found.output(key) if found else None

    def file(self, node: str, key: str, name: str) -> Path | None:
        """A file of an output, if it is there; remote artifacts are not looked into."""
        artifact = self.artifact(node, key)
        file = Path(artifact.uri, name) if artifact else None
        return file if file and file.is_file() else None

    def json(self, node: str, key: str, name: str) -> Any:
        """A JSON file of an output, or None."""
        file = self.file(node, key, name)
        return json.loads(file.read_text(encoding="utf-8")) if file else None

    @property
    def evaluator(self) -> Node | None:
        """The node that evaluated the models."""
        return next((n for name in EVALUATORS if (n := self.run.node(name))), None)

    @property
    def evaluation(self) -> Mapping[str, Any]:
        """What the evaluation says of itself: custom properties, JSON as text."""
        artifact = self.evaluator.output("evaluation") if self.evaluator else None
        return artifact.properties if artifact else {}

    def parameter(self, node: Node | None, name: str, default: Any) -> Any:
        """A parameter of a node that holds JSON."""
        given = node.parameters.get(name) if node else None
        if given is None or given == "":
            return default
        return json.loads(given) if isinstance(given, str) else given

    @property
    def thresholds(self) -> Mapping[str, Mapping[str, float]]:
        """Metric -> min, max, max_drop, of the evaluation."""
        found: Mapping[str, Mapping[str, float]] = self.parameter(self.evaluator, "thresholds", {})
        return found
