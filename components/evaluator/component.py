"""Evaluator: may this one model be pushed?"""

import json
from collections.abc import Mapping, Sequence

from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import channel, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.types.system_executions import Evaluate

from components.entity_evaluator.config import EvaluationConfig
from components.entity_evaluator.driver import Driver
from components.evaluator.executor import Executor


class EvaluatorSpec(ComponentSpec):
    """Inputs, outputs and parameters of the Evaluator; structures are JSON."""

    PARAMETERS = {
        "metrics": ExecutionParameter(type=str),
        "thresholds": ExecutionParameter(type=str),
        "slices": ExecutionParameter(type=str),
        "fairness": ExecutionParameter(type=str),
        "confidence": ExecutionParameter(type=float),
        "min_eval_rows": ExecutionParameter(type=int),
        "eval_split": ExecutionParameter(type=str),
        "positive_label": ExecutionParameter(type=str),
        "max_failed_share": ExecutionParameter(type=float),
        "push_destination": ExecutionParameter(type=str),
    }
    INPUTS = {
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "model": ChannelParameter(type=standard_artifacts.Model),
        "transform_graph": ChannelParameter(type=standard_artifacts.TransformGraph, optional=True),
    }
    OUTPUTS = {
        "evaluation": ChannelParameter(type=standard_artifacts.ModelEvaluation),
        "blessing": ChannelParameter(type=standard_artifacts.ModelBlessing),
    }
    TYPE_ANNOTATION = Evaluate


class Evaluator(base_beam_component.BaseBeamComponent):
    """Predicts held-out raw rows with the candidate and the pushed model, and compares them.

    The stock Evaluator takes no Parquet, and TFMA's change thresholds need the model inside TFMA.
    The rules are those of the whole version in the EntityEvaluator (`gate.py` there).

    Outputs: `evaluation` opens with `tfma.load_eval_result` and holds slices.parquet (the candidate
    beside the pushed model) and fairness.parquet; its custom properties are rows_in,
    rows_evaluated, rows_missing_label, rows_unknown_label, rows_failed, baseline_version (ints),
    overall (JSON: metrics by model), notes. `blessing` has the file BLESSED or NOT_BLESSED and the
    properties blessed, unchanged (0 or 1) and reason.

    Example:
        evaluator = Evaluator(
            examples=example_gen.outputs["examples"],
            model=trainer.outputs["model"],
            transform_graph=transform.outputs["transform_graph"],
            metrics=["accuracy", "auc"],
            thresholds={"auc": {"min": 0.8, "max_drop": 0.01}},
            slices=[["trip_start_hour"], ["company"]],
            push_destination="/models/taxi",
        )
    """

    SPEC_CLASS = EvaluatorSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)
    DRIVER_CLASS = Driver

    def __init__(
        self,
        examples: channel.BaseChannel,
        model: channel.BaseChannel,
        metrics: Sequence[str] = (),
        thresholds: Mapping[str, Mapping[str, float]] | None = None,
        slices: Sequence[Sequence[str]] = (),
        fairness: Sequence[str] = (),
        confidence: float = 0.95,
        min_eval_rows: int = 30,
        eval_split: str = "eval",
        positive_label: str = "",
        max_failed_share: float = 0.01,
        push_destination: str = "",
        transform_graph: channel.BaseChannel | None = None,
    ) -> None:
        """Makes the node; see EntityEvaluator for the settings.

        Args:
          examples: Examples that the model was not trained on, raw, in `eval_split`.
          model: Model, as the Trainer writes it.
          transform_graph: TransformGraph that computes the label, where it is no raw column.

        Raises:
          BeamfleetError: a parameter makes no sense.
        """
        structures = {
            "metrics": list(metrics),
            "thresholds": dict(thresholds or {}),
            "slices": [[one] if isinstance(one, str) else list(one) for one in slices],
            "fairness": list(fairness),
        }
        plain = {
            "confidence": float(confidence),
            "min_eval_rows": int(min_eval_rows),
            "eval_split": eval_split,
            "positive_label": positive_label,
            "max_failed_share": float(max_failed_share),
        }
        EvaluationConfig.from_dict(structures | plain)  # refuses nonsense before anything runs
        spec = EvaluatorSpec(
            examples=examples,
            model=model,
            transform_graph=transform_graph,
            **{name: json.dumps(value, sort_keys=True) for name, value in structures.items()},
            **plain,
            push_destination=push_destination,
            evaluation=channel.Channel(type=standard_artifacts.ModelEvaluation),
            blessing=channel.Channel(type=standard_artifacts.ModelBlessing),
        )
        super().__init__(spec=spec)
