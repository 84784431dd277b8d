"""Executor of EntityTrainer."""

import json
from dataclasses import replace
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_beam_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils

from components.entity_models.store import EntityModels
from components.entity_trainer.columns import TrainingColumns
from components.entity_trainer.config import TrainConfig
from components.entity_trainer.pool import warm_up
from components.entity_trainer.train import TrainEntities, shards_for, workers_for
from components.errors import BeamfleetError
from components.examples.read import ExamplesSplit, ReadExamples
from components.feature_vectors.linked import link_trained
from components.feature_vectors.trained_with import read_trained_with


class Executor(base_beam_executor.BaseBeamExecutor):
    """Translates Examples and Schema into a Model that is a store of entity models."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        [examples] = input_dict["examples"]
        [model] = output_dict["model"]
        config = _config(exec_properties)
        warm_up(config.train_fn)  # imports while the pipeline is built and the rows are read
        columns = TrainingColumns.of_schema(_read_schema(input_dict), config)
        columns = replace(columns, service=read_trained_with(examples.uri))
        source = _source(examples, exec_properties["train_split"])
        rows = examples.get_int_custom_property(f"rows_{source.split}")
        with self._make_beam_pipeline() as pipeline:
            _ = (
                pipeline
                | "ReadExamples" >> ReadExamples(source)
                | "TrainEntities"
                >> TrainEntities(
                    model.uri, config, columns, shards_for(rows), workers_for(pipeline.options)
                )
            )
        run = str(self._context.pipeline_run_id or "") if self._context else ""
        split = examples.get_int_custom_property("training_set")
        link_trained(columns.service, split, model.uri, run)
        for name, count in EntityModels(model.uri).counts.items():
            model.set_int_custom_property(name, count)


def _config(properties: dict[str, Any]) -> TrainConfig:
    return TrainConfig(
        train_fn=properties["train_fn"],
        entity=tuple(json.loads(properties["entity"])),
        label=properties["label"],
        task=properties["task"],
        hparams=json.loads(properties["hparams"]),
        min_rows=properties["min_rows"],
        max_rows=properties["max_rows"],
        max_failed_share=properties["max_failed_share"],
        missing=properties["missing"],
        code_fingerprint=properties["code_fingerprint"],
    )


def _read_schema(input_dict: dict[str, list[types.Artifact]]) -> Any:
    uri = artifact_utils.get_single_uri(input_dict["schema"])
    return io_utils.SchemaReader().read(io_utils.get_only_uri_in_dir(uri))


def _source(examples: types.Artifact, split: str) -> ExamplesSplit:
    splits = artifact_utils.decode_split_names(examples.split_names)
    if split not in splits:
        raise BeamfleetError(f"{examples.uri} has no split {split!r}; its splits are {splits}")
    # The default is TFX's own for artifacts that do not say.
    payload = examples.get_string_custom_property("payload_format") or "FORMAT_TF_EXAMPLE"
    return ExamplesSplit(examples.uri, split, payload)
