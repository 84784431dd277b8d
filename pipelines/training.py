"""What can be said about the training of one model before TFX is imported."""

from collections.abc import Mapping

from components.entity_evaluator.config import EvaluationConfig
from components.errors import BeamfleetError
from pipelines import steps
from pipelines.steps import Step


def check_training(name: str, recorded: Mapping[type[Step], Step]) -> None:
    """Candidates are chosen among, a start fits what is trained, and the metrics are of the task.

    Raises:
      BeamfleetError: says what to add or to leave out.
    """
    train, evaluate = recorded.get(steps.Train), recorded.get(steps.Evaluate)
    if not isinstance(train, steps.Train):
        return
    if train.candidates and evaluate is None:
        raise BeamfleetError(
            f"pipeline {name!r}: train() has candidates, and nothing chooses among them: add "
            '.evaluate(["auc"]), which blesses the best'
        )
    if train.warm_start and steps.Tune in recorded:
        raise BeamfleetError(
            f"pipeline {name!r}: tune() may find another architecture, whose weights cannot be "
            "those of the current model: leave out warm_start=True, or take what was found with "
            ".with_hyperparameters(path)"
        )
    if isinstance(evaluate, steps.Evaluate):
        config = EvaluationConfig.from_dict(evaluate.options)
        config.metrics_for(train.options.get("task", "classification"))
