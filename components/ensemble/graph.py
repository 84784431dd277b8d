"""What an ensemble is made of: stages that read columns and write one each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apache_beam.ml.inference.base import KeyedModelHandler, ModelHandler

from components.ensemble.around import innermost
from components.errors import BeamfleetError


@dataclass(frozen=True)
class Stage:
    """A model in an ensemble.

    Example:
        Stage("rank", ClipRanker(model), inputs=("image", "caption"))
    """

    name: str
    """The column that its predictions become."""
    handler: ModelHandler[Any, Any, Any]
    """Any of Beam's, or the user's own. It gives one result an example; of a PredictionResult the
    inference is taken."""
    inputs: str | tuple[str, ...] | Mapping[str, str]
    """Columns of the source or names of earlier stages. The handler is given the value of the one,
    a tuple with the values of several, or a dict: `{"input_ids": "tokens"}` has its `input_ids`
    from column `tokens`."""
    inference_args: Mapping[str, Any] | None = None
    """What the handler is given with each batch, see RunInference."""

    @property
    def columns(self) -> tuple[str, ...]:
        if isinstance(self.inputs, str):
            return (self.inputs,)
        return tuple(self.inputs.values() if isinstance(self.inputs, Mapping) else self.inputs)

    def example(self, values: dict[str, Any]) -> Any:
        """What the handler is given.

        Raises:
          BeamfleetError: an input is not there.
        """
        if missing := [name for name in self.columns if name not in values]:
            raise BeamfleetError(f"the record has no {', '.join(missing)}")
        if isinstance(self.inputs, str):
            return values[self.inputs]
        if isinstance(self.inputs, Mapping):
            return {name: values[column] for name, column in self.inputs.items()}
        return tuple(values[name] for name in self.inputs)


class Ensemble:
    """Stages in the order in which they run.

    A record goes from stage to stage as a whole and gains one column at each. So an image crosses
    no network between stages that a worker runs itself, nothing has to be joined where branches
    meet, and two records of the same key never get each other's predictions.

    Example:
        captions = Ensemble(
            Stage("caption", BlipCaptioner(model, num_captions=5), inputs="image"),
            Stage("rank", ClipRanker(model), inputs=("image", "caption")),
        )

    Raises:
      BeamfleetError: no stage, two of one name, a stage that reads what comes later, or a budget
        of nothing.
    """

    def __init__(self, *stages: Stage, memory_mb: float | None = None) -> None:
        """Takes the stages, and how much of a GPU's memory they may take together.

        Args:
          stages: in the order in which they run.
          memory_mb: for weights and batches of all stages in a worker process, of PyTorch on a GPU
            (elsewhere it changes nothing). A batch that goes beyond it is halved, a model is an
            error. None is all of the GPU.
        """
        if memory_mb is not None and memory_mb <= 0:
            raise BeamfleetError(f"memory_mb must be more than 0, got {memory_mb}")
        if not stages:
            raise BeamfleetError("an ensemble needs at least one stage")
        for place, stage in enumerate(stages):
            _check(stage, stages[:place], stages[place:])
        self.stages = stages
        self.memory_mb = memory_mb

    @property
    def inputs(self) -> tuple[str, ...]:
        """Columns that the source must have, in the order in which they are first read."""
        made = {stage.name for stage in self.stages}
        read = [name for stage in self.stages for name in stage.columns]
        return tuple(dict.fromkeys(name for name in read if name not in made))


def _check(stage: Stage, earlier: tuple[Stage, ...], later: tuple[Stage, ...]) -> None:
    if not stage.name or not stage.columns or "" in stage.columns:
        raise BeamfleetError(f"stage {stage.name!r} needs a name and at least one input")
    if not isinstance(stage.handler, ModelHandler):
        raise BeamfleetError(
            f"stage {stage.name!r}: the handler is a {type(stage.handler).__name__}, expected a "
            "ModelHandler of Beam"
        )
    if stage.handler.should_skip_batching():
        raise BeamfleetError(
            f"stage {stage.name!r}: with_no_batching() takes batches, an ensemble has records; "
            "set max_batch_size instead"
        )
    if isinstance(innermost(stage.handler), KeyedModelHandler):
        raise BeamfleetError(
            f"stage {stage.name!r}: a KeyedModelHandler gives its results grouped by model; "
            "records have keys of their own, so give the handler within it, or EntityRowHandler "
            "for a model an entity"
        )
    read = {name for one in (*earlier, stage) for name in one.columns}
    if stage.name in {one.name for one in earlier} or stage.name in read:
        raise BeamfleetError(
            f"stage {stage.name!r} has the name of another stage or of a column that is read "
            "before it; give it a name of its own"
        )
    coming = {one.name for one in later}
    if early := [name for name in stage.columns if name in coming]:
        raise BeamfleetError(
            f"stage {stage.name!r} reads {', '.join(early)}, which comes later; put it behind"
        )
