"""Evaluator: may this one model be pushed?"""

from typing import Unpack

from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import channel, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec
from tfx.types.system_executions import Evaluate

from components.entity_evaluator.driver import Driver
from components.entity_evaluator.parameters import PARAMETERS, EvaluationOptions, parameters
from components.evaluator.executor import Executor


class EvaluatorSpec(ComponentSpec):
    """Inputs, outputs and parameters of the Evaluator; structures are JSON."""

    PARAMETERS = dict(PARAMETERS)
    INPUTS = {
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "model": ChannelParameter(type=standard_artifacts.Model),
        "transform_graph": ChannelParameter(type=standard_artifacts.TransformGraph, optional=True),
        "baseline_model": ChannelParameter(type=standard_artifacts.Model, optional=True),
    }
    OUTPUTS = {
        "evaluation": ChannelParameter(type=standard_artifacts.ModelEvaluation),
        "blessing": ChannelParameter(type=standard_artifacts.ModelBlessing),
        "chosen_model": ChannelParameter(type=standard_artifacts.Model, optional=True),
    }
    TYPE_ANNOTATION = Evaluate


class Evaluator(base_beam_component.BaseBeamComponent):
    """Predicts held-out raw rows with the candidates and the current model, and compares them.

    The stock Evaluator takes no Parquet, and TFMA's change thresholds need the model inside TFMA.
    The rules are those of the whole version in the EntityEvaluator (`gate.py` there).

    The current model is the pushed version, and of a pipeline that pushes nowhere `baseline_model`,
    which a Resolver with `components.current_model.strategy.BaselineStrategy` finds.

    Of several candidates the best by the first of `metrics` that passes is blessed, and copied into
    `chosen_model` for what comes next; if none passes the best of all is, and is not blessed.

    Outputs: `evaluation` opens with `tfma.load_eval_result` and holds slices.parquet (the chosen
    candidate beside the current model), candidates.parquet and fairness.parquet; its custom
    properties are rows_in, rows_evaluated, rows_missing_label, rows_unknown_label, rows_failed,
    baseline_version (ints), overall (JSON: metrics by model), intervals (JSON: ends by metric),
    compared_with, chosen, notes. `blessing` has the file BLESSED or NOT_BLESSED and the properties
    blessed, unchanged (0 or 1) and reason.

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
        push_destination: str = "",
        transform_graph: channel.BaseChannel | None = None,
        baseline_model: channel.BaseChannel | None = None,
        several: bool = False,
        **options: Unpack[EvaluationOptions],
    ) -> None:
        """Makes the node.

        Args:
          examples: Examples that the model was not trained on, raw, in `eval_split`.
          model: Model, as the Trainer writes it; or several, each with its name in `candidate`.
          push_destination: Directory of the Pusher, whose current version is the baseline.
          transform_graph: TransformGraph that may compute the label.
          baseline_model: Model to compare with where nothing is ever pushed; the channel may be
            empty.
          several: Whether there are several candidates, and so an output `chosen_model`.
          options: See EvaluationOptions.

        Raises:
          BeamfleetError: a parameter makes no sense.
        """
        spec = EvaluatorSpec(
            examples=examples,
            model=model,
            transform_graph=transform_graph,
            baseline_model=baseline_model,
            **parameters(options),
            push_destination=push_destination,
            evaluation=channel.Channel(type=standard_artifacts.ModelEvaluation),
            blessing=channel.Channel(type=standard_artifacts.ModelBlessing),
            chosen_model=channel.Channel(type=standard_artifacts.Model) if several else None,
        )
        super().__init__(spec=spec)
