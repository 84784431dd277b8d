"""Trainer: TFX's own, that describes what it made."""

from collections.abc import Mapping, Sequence
from typing import Any

from tfx.components.trainer import component as stock
from tfx.dsl.components.base import executor_spec
from tfx.proto import trainer_pb2
from tfx.types import channel

from components.entity_models.spec import TASKS
from components.errors import BeamfleetError
from components.trainer.executor import Executor
from components.user_function import code_fingerprint


class Trainer(stock.Trainer):
    """Runs `run_fn(fn_args)` as TFX's Trainer does, then checks and describes the SavedModel.

    The code's fingerprint is a parameter, so that a change of the code is no cache hit; the stock
    Trainer would reuse the old model of a `run_fn` that is named by its path.

    Example:
        trainer = Trainer(
            examples=transform.outputs["transformed_examples"],
            transform_graph=transform.outputs["transform_graph"],
            schema=schema_gen.outputs["schema"],
            run_fn="user_code.taxi.run_fn",
            label="tipped",
        )
    """

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        examples: channel.BaseChannel,
        schema: channel.BaseChannel,
        run_fn: str,
        label: str,
        *,
        task: str = "classification",
        classes: Sequence[str] | Sequence[int] = (),
        hparams: Mapping[str, Any] | None = None,
        steps: tuple[int, int] = (0, 0),
        transform_graph: channel.BaseChannel | None = None,
        hyperparameters: channel.BaseChannel | None = None,
        base_model: channel.BaseChannel | None = None,
        candidate: str = "",
        candidate_hparams: Mapping[str, Any] | None = None,
    ) -> None:
        """Makes the node.

        Args:
          examples: Examples, preprocessed where there is a transform graph.
          schema: Schema of the raw examples.
          run_fn: Dotted path of the user's `run_fn(fn_args)`.
          label: Column that the model predicts.
          task: `classification` or `regression`.
          classes: In the order of the outputs; default: 0, 1, ...
          hparams: JSON values, in `fn_args.custom_config["hparams"]`.
          steps: To train and to evaluate, in `fn_args`; 0: as the run_fn likes.
          transform_graph: TransformGraph.
          hyperparameters: HyperParameters, such as a tuner's.
          base_model: Model to start from, in `fn_args.base_model`; the channel may be empty.
          candidate: Name of this one of several.
          candidate_hparams: Win over `hparams` and over the tuner's.

        Raises:
          BeamfleetError: `task` is none of the two, or `run_fn` cannot be found.
        """
        if task not in TASKS:
            raise BeamfleetError(f"task must be one of {TASKS}, got {task!r}")
        train_steps, eval_steps = steps
        super().__init__(
            examples=examples,
            schema=schema,
            transform_graph=transform_graph,
            hyperparameters=hyperparameters,
            base_model=base_model,
            run_fn=run_fn,
            train_args=trainer_pb2.TrainArgs(num_steps=train_steps),
            eval_args=trainer_pb2.EvalArgs(num_steps=eval_steps),
            custom_config={
                "label": label,
                "task": task,
                "classes": list(classes),
                "hparams": dict(hparams or {}),
                "code_fingerprint": code_fingerprint(run_fn),
                "warm_start": base_model is not None,
                "candidate": candidate,
                "candidate_hparams": dict(candidate_hparams or {}),
            },
        )
