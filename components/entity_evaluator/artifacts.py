"""What evaluations read from artifacts, and what they write into them."""

import json

from tfx import types
from tfx.components.util.examples_utils import get_payload_format_string
from tfx.types import artifact_utils
from tfx.utils import io_utils

from components.entity_evaluator.config import EvaluationConfig
from components.entity_evaluator.result import EvaluationResult
from components.errors import BeamfleetError
from components.examples.read import ExamplesSplit
from components.pusher.versions import PushedVersions


def evaluated_split(examples: types.Artifact, split: str) -> ExamplesSplit:
    """The held-out rows.

    Raises:
      BeamfleetError: there is no such split.
    """
    names = artifact_utils.decode_split_names(examples.split_names)
    if split not in names:
        raise BeamfleetError(f"{examples.uri} has no split {split!r} to evaluate on, only {names}")
    return ExamplesSplit(examples.uri, split, get_payload_format_string(examples))


def expected_rows(examples: types.Artifact, split: str) -> int | None:
    """How many rows ExampleGen counted; None if another component made the examples."""
    name = f"rows_{split}"
    has = examples.has_custom_property(name)
    return examples.get_int_custom_property(name) if has else None


def pushed_uri(destination: str, baseline: int) -> str | None:
    """Folder of the version to compare with; None if there is none."""
    return PushedVersions(destination).version(baseline).path if baseline else None


def record_evaluation(
    evaluation: types.Artifact, result: EvaluationResult, config: EvaluationConfig
) -> None:
    """Puts counts, overall metrics and notes into the artifact's custom properties."""
    for name, count in result.counts.items():
        evaluation.set_int_custom_property(name, count)
    evaluation.set_float_custom_property("confidence", config.confidence)
    evaluation.set_string_custom_property("overall", json.dumps(result.overall, sort_keys=True))
    evaluation.set_string_custom_property("notes", "; ".join(result.notes))
    evaluation.set_string_custom_property("intervals", json.dumps(result.intervals, sort_keys=True))
    evaluation.set_string_custom_property("compared_with", result.compared_with)


def bless(blessing: types.Artifact, result: EvaluationResult, model: types.Artifact) -> None:
    """Writes what the stock Evaluator writes, and the reason."""
    reason = "; ".join(result.objections)
    if result.unchanged:
        same = "identical to the current model"
        reason = "; ".join(part for part in (same, reason) if part)
    name = "BLESSED" if result.blessed else "NOT_BLESSED"
    io_utils.write_string_file(f"{blessing.uri}/{name}", reason)
    blessing.set_int_custom_property("blessed", int(result.blessed))
    blessing.set_int_custom_property("unchanged", int(result.unchanged))
    blessing.set_string_custom_property("reason", reason)
    blessing.set_string_custom_property("current_model", model.uri)
    blessing.set_int_custom_property("current_model_id", model.id)
