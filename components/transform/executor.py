"""Executor of Transform."""

from typing import Any

from tfx import types
from tfx.dsl.components.base import base_beam_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils

from components.errors import BeamfleetError
from components.examples.artifact import splits_of
from components.transform.transform import TransformTask, transform


class Executor(base_beam_executor.BaseBeamExecutor):
    """Translates Examples and Schema into a TransformGraph and preprocessed Examples."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        [examples] = input_dict["examples"]
        [graph] = output_dict["transform_graph"]
        [transformed] = output_dict["transformed_examples"]
        splits, analyze = splits_of(examples), exec_properties["analyze_split"]
        if analyze not in (names := [split.split for split in splits]):
            raise BeamfleetError(
                f"{examples.uri} has no split {analyze!r} to analyze, only {names}"
            )
        schema_folder = artifact_utils.get_single_uri(input_dict["schema"])
        transform(
            TransformTask(
                tuple(splits),
                analyze,
                exec_properties["preprocessing_fn"],
                graph.uri,
                transformed.uri,
            ),
            io_utils.SchemaReader().read(io_utils.get_only_uri_in_dir(schema_folder)),
            self._make_beam_pipeline,
        )
        transformed.split_names = examples.split_names
        transformed.span = examples.span
