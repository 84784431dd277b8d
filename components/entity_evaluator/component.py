"""EntityEvaluator: a verdict for every entity, and the new version composed by them."""

import json
from collections.abc import Mapping, Sequence

from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import channel, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.types.system_executions import Evaluate

from components.entity_evaluator.config import EvaluationConfig
from components.entity_evaluator.driver import Driver
from components.entity_evaluator.executor import Executor


class EntityEvaluatorSpec(ComponentSpec):
    """Inputs, outputs and parameters of the EntityEvaluator; structures are JSON."""

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
    }
    OUTPUTS = {
        "evaluation": ChannelParameter(type=standard_artifacts.ModelEvaluation),
        "blessing": ChannelParameter(type=standard_artifacts.ModelBlessing),
        "composed_model": ChannelParameter(type=standard_artifacts.Model),
    }
    TYPE_ANNOTATION = Evaluate


class EntityEvaluator(base_beam_component.BaseBeamComponent):
    """Evaluates entity models on held-out rows and composes the version that would be pushed.

    Each entity's own model is compared, row by row, with the fallback and with the model that is
    pushed (`verdicts.py` has the rules). `composed_model` holds the winners, copied byte for byte;
    it is then evaluated as a whole (`gate.py`), overall and sliced by TFMA.

    Outputs: `evaluation` opens with `tfma.load_eval_result` and holds entities.parquet and
    fairness.parquet; its custom properties are entities_blessed, entities_kept, entities_fallback,
    entities_refused, rows_in, rows_evaluated, rows_missing_label, rows_missing_entity,
    rows_unknown_label, rows_failed (ints), overall (JSON: metrics by model), notes. `blessing` has
    the file BLESSED or NOT_BLESSED and the properties blessed, unchanged (0 or 1) and reason.

    Example:
        evaluator = EntityEvaluator(
            examples=example_gen.outputs["examples"],
            model=trainer.outputs["model"],
            thresholds={"accuracy": {"min": 0.7, "max_drop": 0.02}},
            slices=[["education"], ["sex", "race"]],
            fairness=["sex", "race"],
            push_destination="/models/census",
        )
    """

    SPEC_CLASS = EntityEvaluatorSpec
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
    ) -> None:
        """Makes the node.

        Args:
          examples: Examples that the models were not trained on, in `eval_split`.
          model: Model, as EntityTrainer writes it.
          metrics: What to report; the first that is a mean over rows (accuracy, log_loss, mse,
            mae) decides. Empty: all of the task, decided by accuracy or mse.
          thresholds: By metric: min (or max where lower is better), the value that has to be
            reached; max_drop, how much worse than the pushed version it may be.
          slices: Column lists for TFMA, which needs about 30 ms a slice.
          fairness: Columns whose groups are compared.
          confidence: 1 - the share of changes that may be chance.
          min_eval_rows: Entities with fewer rows are judged together.
          eval_split: Name of the held-out split.
          positive_label: Positive class of two; empty: the last of the sorted ones.
          max_failed_share: Share of rows whose prediction may fail.
          push_destination: Directory of the Pusher, whose current version is the baseline.

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
        spec = EntityEvaluatorSpec(
            examples=examples,
            model=model,
            **{name: json.dumps(value, sort_keys=True) for name, value in structures.items()},
            **plain,
            push_destination=push_destination,
            evaluation=channel.Channel(type=standard_artifacts.ModelEvaluation),
            blessing=channel.Channel(type=standard_artifacts.ModelBlessing),
            composed_model=channel.Channel(type=standard_artifacts.Model),
        )
        super().__init__(spec=spec)
