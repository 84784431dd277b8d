"""What every step of the builder needs: it is recorded once, and can be asked for."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

from components.errors import BeamfleetError
from pipelines import steps
from pipelines.conditions import parse
from pipelines.sources import PathLike
from pipelines.steps import Step, method_name

_T = TypeVar("_T")
_Step = TypeVar("_Step", bound=Step)


class Recorder:
    """Keeps at most one step of a kind."""

    def __init__(self, name: str, root: PathLike | None) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", name):
            raise BeamfleetError(
                f"pipeline name {name!r}: expected at most 63 letters, digits, '-' and '_'"
            )
        self.name = name
        self.root = Path(root if root is not None else Path("runs", name)).absolute()
        self._steps: dict[type[Step], Step] = {}
        self._conditions: dict[type[Step], str] = {}

    def when(self, condition: str) -> Self:
        """Runs the step before it only if a condition holds, and what reads its models likewise.

        Args:
          condition: Custom properties of what earlier nodes published, compared with values:
            "examples.rows_train >= 1000 and anomalies.anomalies == 0".
        """
        if not self._steps:
            raise BeamfleetError("when() stands behind the step that it is about")
        kind = list(self._steps)[-1]
        if kind in self._conditions:
            raise BeamfleetError(
                f"{method_name(kind)}() has a condition already: join both by 'and'"
            )
        parse(condition)  # refuses nonsense
        self._conditions[kind] = condition
        return self

    def step(self, kind: type[_Step]) -> _Step | None:
        """What was recorded of a kind; None: nothing."""
        return next((step for step in self._steps.values() if isinstance(step, kind)), None)

    def _record(self, step: Step) -> Self:
        kind = type(step)
        sources = (
            steps.ReadExamples,
            steps.ReadImages,
            steps.GivenExamples,
            steps.FromFeatureView,
        )
        if kind in self._steps:
            raise BeamfleetError(f"pipeline {self.name!r}: {method_name(kind)}() was called twice")
        if kind in sources and any(source in self._steps for source in sources):
            raise BeamfleetError(f"pipeline {self.name!r} has two sources of examples; keep one")
        self._steps[kind] = step
        return self


def given(**options: Any) -> dict[str, Any]:
    """Those that were set: the component's own defaults stand for the others."""
    return {key: value for key, value in options.items() if value is not None}


def several(names: str | Sequence[_T] | None) -> tuple[str | _T, ...] | None:
    """One name may stand for a list of one."""
    return (names,) if isinstance(names, str) else None if names is None else tuple(names)
