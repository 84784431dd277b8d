"""What every step of the builder needs: it is recorded once, and can be asked for."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

from components.errors import BeamfleetError
from pipelines import steps
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

    @property
    def recorded(self) -> Mapping[type[Step], Step]:
        """All steps, in the order of their calls."""
        return self._steps

    def step(self, kind: type[_Step]) -> _Step | None:
        """What was recorded of a kind; None: nothing."""
        return next((step for step in self._steps.values() if isinstance(step, kind)), None)

    def _record(self, step: Step) -> Self:
        kind = type(step)
        sources = (steps.ReadExamples, steps.ReadImages, steps.GivenExamples)
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
