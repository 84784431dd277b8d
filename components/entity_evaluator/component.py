"""EntityEvaluator: a verdict for every entity, and the new version composed by them."""

from typing import Unpack

from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import channel, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec
from tfx.types.system_executions import Evaluate

from components.entity_evaluator.driver import Driver
from components.entity_evaluator.executor import Executor
from components.entity_evaluator.parameters import PARAMETERS, EvaluationOptions, parameters


class EntityEvaluatorSpec(ComponentSpec):
    """Inputs, outputs and parameters of the EntityEvaluator; structures are JSON."""

    PARAMETERS = dict(PARAMETERS)
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

    Outputs: `evaluation` opens with `tfma.load_eval_result` and holds entities.parquet,
    slices.parquet (the composed version beside the pushed one) and fairness.parquet; its custom
    properties are entities_blessed, entities_kept, entities_fallback, entities_refused, rows_in,
    rows_evaluated, rows_missing_label, rows_missing_entity, rows_unknown_label, rows_failed (ints),
    overall (JSON: metrics by model), notes. `blessing` has the file BLESSED or NOT_BLESSED and the
    properties blessed, unchanged (0 or 1) and reason.

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
        push_destination: str = "",
        **options: Unpack[EvaluationOptions],
    ) -> None:
        """Makes the node.

        Args:
          examples: Examples that the models were not trained on, in `eval_split`.
          model: Model, as EntityTrainer writes it.
          push_destination: Directory of the Pusher, whose current version is the baseline.
          options: See EvaluationOptions.

        Raises:
          BeamfleetError: a parameter makes no sense.
        """
        spec = EntityEvaluatorSpec(
            examples=examples,
            model=model,
            **parameters(options),
            push_destination=push_destination,
            evaluation=channel.Channel(type=standard_artifacts.ModelEvaluation),
            blessing=channel.Channel(type=standard_artifacts.ModelBlessing),
            composed_model=channel.Channel(type=standard_artifacts.Model),
        )
        super().__init__(spec=spec)
