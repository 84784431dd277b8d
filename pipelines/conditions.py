"""Conditions on what earlier nodes published: `.when("anomalies.anomalies == 0")`."""

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from components.errors import BeamfleetError
from pipelines import steps
from pipelines.steps import Step, method_name

OUTPUTS: Mapping[str, tuple[str, tuple[type[Step], ...]]] = {
    "examples": ("rows_train", (steps.ReadExamples, steps.ReadImages, steps.GivenExamples)),
    "anomalies": ("anomalies", (steps.ValidateExamples,)),
    "model": ("entities_failed", (steps.TrainPerEntity, steps.Train, steps.WithEnsemble)),
    "evaluation": ("rows_evaluated", (steps.Evaluate, steps.EvaluateCaptions)),
    "blessing": ("blessed", (steps.Evaluate, steps.EvaluateCaptions)),
    "infra_blessing": ("p99_ms", (steps.InfraValidate,)),
    "pushed_model": ("pushed", (steps.PushTo,)),
}
"""Output -> a custom property of it, as an example, and the steps that make it."""
SEEN_BY: Mapping[type[Step], tuple[str, ...]] = {
    steps.Tune: ("examples", "anomalies"),
    steps.TrainPerEntity: ("examples", "anomalies"),
    steps.Train: ("examples", "anomalies"),
    steps.PushTo: (
        "examples", "anomalies", "model", "evaluation", "blessing", "infra_blessing",
    ),
    steps.BulkInfer: tuple(OUTPUTS),
}  # fmt: skip
"""The steps that may have a condition, and what was published before them. Evaluation and infra
validation are not among them: a model that skips its gates would count as one that passed."""
_READ_MODELS = (steps.Evaluate, steps.InfraValidate, steps.PushTo)
_OPERATORS: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


@dataclass(frozen=True)
class Comparison:
    """One comparison of a custom property of an output with a value."""

    output: str
    property: str
    compare: Callable[[Any, Any], Any]
    """Of `operator`."""
    value: int | float | str


def parse(condition: str) -> tuple[Comparison, ...]:
    """Reads `output.property == value`, several joined by `and`.

    Raises:
      BeamfleetError: it says something else; names the part.
    """
    try:
        tree = ast.parse(condition.strip(), mode="eval").body
    except (SyntaxError, ValueError) as error:
        raise BeamfleetError(f"condition {condition!r} cannot be read: {error}") from None
    together = isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And)
    parts = tree.values if isinstance(tree, ast.BoolOp) and together else [tree]
    return tuple(_comparison(part, condition) for part in parts)


def _comparison(part: ast.expr, condition: str) -> Comparison:
    match part:
        case ast.Compare(
            left=ast.Attribute(value=ast.Name(id=output), attr=name), ops=[op], comparators=[right]
        ) if type(op) in _OPERATORS:
            try:
                value = ast.literal_eval(right)
            except ValueError:
                value = None
            if isinstance(value, int | float | str):
                return Comparison(output, name, _OPERATORS[type(op)], value)
    raise BeamfleetError(
        f"condition {condition!r}: {ast.unparse(part)!r} is no comparison of an output's property "
        "with a number or text, such as 'examples.rows_train >= 1000'"
    )


def check_conditions(
    name: str, recorded: Mapping[type[Step], Step], conditions: Mapping[type[Step], str]
) -> None:
    """Conditions stand where nodes may be left out, and ask for what is known there.

    Raises:
      BeamfleetError: names the step and what it can ask for.
    """
    for kind, condition in conditions.items():
        where = f"pipeline {name!r}: {method_name(kind)}().when({condition!r})"
        if kind not in SEEN_BY:
            can = ", ".join(method_name(step) for step in SEEN_BY)
            raise BeamfleetError(f"{where}: only {can} can have a condition")
        known = [o for o in SEEN_BY[kind] if any(step in recorded for step in OUTPUTS[o][1])]
        for comparison in parse(condition):
            if comparison.output not in known:
                example = ", ".join(f"{o}.{OUTPUTS[o][0]}" for o in known) or "nothing"
                raise BeamfleetError(
                    f"{where}: no node before it publishes {comparison.output!r}; it can ask for "
                    f"custom properties such as {example}"
                )


def in_force(
    kind: type[Step], conditions: Mapping[type[Step], str], recorded: Mapping[type[Step], Step]
) -> tuple[Comparison, ...]:
    """The conditions under which a step's nodes run: its own, and those of the models it reads."""
    asked = [kind]
    # With a pushed directory its current version predicts, new models or not.
    predicts_new = kind is steps.BulkInfer and steps.PushTo not in recorded
    if kind in _READ_MODELS or predicts_new:
        asked += [steps.TrainPerEntity, steps.Train]
    found = [c for step in asked if step in conditions for c in parse(conditions[step])]
    return tuple(dict.fromkeys(found))
