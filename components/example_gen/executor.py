"""Executor of ExampleGen."""

import dataclasses
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils

from components.errors import BeamfleetError
from components.example_gen.files import InputFiles, find_files
from components.example_gen.ingest import IngestCounts, ingest
from components.example_gen.schema_types import types_of_schema
from components.example_gen.source import IngestConfig

_PAYLOAD_FORMAT = {"parquet": "FORMAT_PARQUET", "tf_example": "FORMAT_TF_EXAMPLE"}


class Executor(base_executor.BaseExecutor):
    """Translates a configuration into an Examples artifact."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        [examples] = output_dict["examples"]
        config = IngestConfig.from_json(exec_properties["source"])
        files = _files_that_the_driver_saw(config, exec_properties)
        counts = ingest(config, files, examples.uri, _types(input_dict))
        examples.split_names = artifact_utils.encode_split_names(list(config.splits.names))
        examples.span = files.span or 0
        # What tfx.components.util.examples_utils.set_payload_format does; to import it costs 8 s.
        examples.set_string_custom_property("payload_format", _PAYLOAD_FORMAT[config.payload])
        _record(counts, examples)


def _types(input_dict: dict[str, list[types.Artifact]]) -> dict[str, str]:
    if not input_dict.get("schema"):
        return {}
    folder = artifact_utils.get_single_uri(input_dict["schema"])
    return types_of_schema(io_utils.get_only_uri_in_dir(folder))


def _files_that_the_driver_saw(config: IngestConfig, exec_properties: dict[str, Any]) -> InputFiles:
    source = dataclasses.replace(config.source, span=exec_properties.get("span"))
    files = find_files(dataclasses.replace(config, source=source))
    if files.fingerprint != exec_properties["input_fingerprint"]:
        raise BeamfleetError(
            f"{', '.join(config.source.paths)}: files changed while the node started; run again"
        )
    return files


def _record(counts: IngestCounts, examples: types.Artifact) -> None:
    examples.set_int_custom_property("rows_in", counts.rows_in)
    examples.set_int_custom_property("rows_rejected", counts.rows_rejected)
    examples.set_int_custom_property("rows_gap", counts.rows_gap)
    if counts.rows_eval_in_train is not None:
        examples.set_int_custom_property("rows_eval_in_train", counts.rows_eval_in_train)
    if counts.notes:
        examples.set_string_custom_property("notes", "\n".join(counts.notes))
    for split, rows in counts.splits.items():
        examples.set_int_custom_property(f"rows_{split}", rows)
