"""The parameters that the evaluators of rows share."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from tfx.types.component_spec import ExecutionParameter

from components.entity_evaluator.config import EvaluationConfig

_STRUCTURES = ("metrics", "thresholds", "slices", "fairness")
"""Parameters that travel as JSON."""
_PLAIN: Mapping[str, type] = {
    "confidence": float,
    "min_eval_rows": int,
    "eval_split": str,
    "positive_label": str,
    "max_failed_share": float,
}
PARAMETERS: Mapping[str, ExecutionParameter] = {
    **{name: ExecutionParameter(type=str) for name in _STRUCTURES},
    **{name: ExecutionParameter(type=kind) for name, kind in _PLAIN.items()},
    "push_destination": ExecutionParameter(type=str),
}


class EvaluationOptions(TypedDict, total=False):
    """What may be asked of an evaluation; `EvaluationConfig` has the defaults."""

    metrics: Sequence[str]
    """What to report; the first that is a mean over rows (accuracy, log_loss, mse, mae) decides.
    Empty: all of the task, decided by accuracy or mse."""
    thresholds: Mapping[str, Mapping[str, float]]
    """By metric: min (or max where lower is better), the value that has to be reached; max_drop,
    how much worse than the pushed version it may be."""
    slices: Sequence[Sequence[str]]
    """Column lists for TFMA, which needs about 30 ms a slice."""
    fairness: Sequence[str]
    """Columns whose groups are compared."""
    confidence: float
    """1 - the share of changes that may be chance."""
    min_eval_rows: int
    """Entities and groups with fewer rows are judged together, or not compared."""
    eval_split: str
    """Name of the held-out split."""
    positive_label: str
    """Positive class of two; empty: the last of the sorted ones."""
    max_failed_share: float
    """Share of rows whose prediction may fail."""


def parameters(options: EvaluationOptions) -> dict[str, Any]:
    """The execution parameters of a node.

    Raises:
      BeamfleetError: an option makes no sense.
    """
    default = EvaluationConfig()
    structures: dict[str, Any] = {
        "metrics": list(options.get("metrics", ())),
        "thresholds": dict(options.get("thresholds") or {}),
        "slices": [
            [one] if isinstance(one, str) else list(one) for one in options.get("slices", ())
        ],
        "fairness": list(options.get("fairness", ())),
    }
    plain = {n: kind(options.get(n, getattr(default, n))) for n, kind in _PLAIN.items()}
    EvaluationConfig.from_dict(structures | plain)  # refuses nonsense before anything runs
    as_json = {name: json.dumps(value, sort_keys=True) for name, value in structures.items()}
    return as_json | plain


def config_of(exec_properties: Mapping[str, Any]) -> EvaluationConfig:
    """The settings in a node's parameters."""
    return EvaluationConfig.from_dict(
        {name: json.loads(exec_properties[name]) for name in _STRUCTURES}
        | {name: exec_properties[name] for name in _PLAIN}
    )
