"""EntityTrainer: one model per entity, as one Model artifact."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import channel, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.types.system_executions import Train

from components.entity_trainer.config import TrainConfig
from components.entity_trainer.executor import Executor
from components.user_function import code_fingerprint


class EntityTrainerSpec(ComponentSpec):
    """Inputs, output and parameters of EntityTrainer."""

    PARAMETERS = {
        "train_fn": ExecutionParameter(type=str),
        "code_fingerprint": ExecutionParameter(type=str),
        "entity": ExecutionParameter(type=str),
        "label": ExecutionParameter(type=str),
        "task": ExecutionParameter(type=str),
        "hparams": ExecutionParameter(type=str),
        "min_rows": ExecutionParameter(type=int),
        "max_rows": ExecutionParameter(type=int),
        "max_failed_share": ExecutionParameter(type=float),
        "missing": ExecutionParameter(type=str),
        "train_split": ExecutionParameter(type=str),
    }
    INPUTS = {
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "schema": ChannelParameter(type=standard_artifacts.Schema),
    }
    OUTPUTS = {"model": ChannelParameter(type=standard_artifacts.Model)}
    TYPE_ANNOTATION = Train


class EntityTrainer(base_beam_component.BaseBeamComponent):
    """Trains a model on the rows of each entity, and the fallback model on the rows of all.

    The Model's uri is a store of entity models (components.entity_models), with costs.parquet
    beside it: kind, entity, rows and fit_cpu_seconds of each fit. Its custom properties
    are the counts: rows_in = rows_trained + rows_small + rows_failed + rows_dropped +
    rows_sampled_out + rows_without_label + rows_without_entity, and entities = entities_trained +
    entities_small + entities_failed. The code's fingerprint is a parameter, so that a change of
    the code is no cache hit.

    Example:
        trainer = EntityTrainer(
            examples=example_gen.outputs["examples"],
            schema=schema_gen.outputs["schema"],
            train_fn="user_code.census.train_fn",
            entity=["education"],
            label="income",
        )
    """

    SPEC_CLASS = EntityTrainerSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(  # the parameters of a TFX node are its arguments
        self,
        examples: channel.BaseChannel,
        schema: channel.BaseChannel,
        train_fn: str,
        entity: Sequence[str],
        label: str,
        task: str = "classification",
        hparams: Mapping[str, Any] | None = None,
        min_rows: int = TrainConfig.min_rows,
        max_rows: int = TrainConfig.max_rows,
        max_failed_share: float = TrainConfig.max_failed_share,
        missing: str = TrainConfig.missing,
        train_split: str = "train",
    ) -> None:
        """Makes the node; see TrainConfig for the parameters.

        Args:
          examples: Examples, the rows.
          schema: Schema, the types of their columns.
          train_fn: Dotted path of the user's function.
          entity: Columns of the entity key.
          label: Column to predict.
          task: `classification` or `regression`.
          hparams: JSON values for `train_fn`.
          min_rows: Entities with fewer usable rows are served by the fallback.
          max_rows: Larger entities train on a sample of this many rows.
          max_failed_share: Share of failed entities above which the node fails.
          missing: `drop` or `keep` rows with a missing feature.
          train_split: Name of the split to train on.

        Raises:
          BeamfleetError: a parameter is out of its range, or `train_fn` cannot be found.
        """
        config = TrainConfig(
            train_fn, tuple(entity), label, task, hparams or {}, min_rows, max_rows,
            max_failed_share=max_failed_share, missing=missing,
        )  # fmt: skip
        spec = EntityTrainerSpec(
            examples=examples,
            schema=schema,
            train_fn=train_fn,
            code_fingerprint=code_fingerprint(train_fn),
            entity=json.dumps(list(entity), ensure_ascii=False),
            label=label,
            task=task,
            hparams=config.hparams_json(),
            min_rows=min_rows,
            max_rows=max_rows,
            max_failed_share=float(max_failed_share),
            missing=missing,
            train_split=train_split,
            model=channel.Channel(type=standard_artifacts.Model),
        )
        super().__init__(spec=spec)
