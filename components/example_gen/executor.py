"""Executor of ExampleGen."""

import dataclasses
import json
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils

from components.errors import BeamfleetError
from components.example_gen.files import InputFiles, find_files
from components.example_gen.ingest import IngestCounts, RowsRejectedError, ingest
from components.example_gen.schema_types import types_of_schema
from components.example_gen.source import IngestConfig, Source

_PAYLOAD_FORMAT = {"parquet": "FORMAT_PARQUET", "tf_example": "FORMAT_TF_EXAMPLE"}
_NAMED_FILES = 1000


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
        if not files.main:
            _record_nothing(examples)
            return
        counts = _ingested(config, files, examples.uri, _types(input_dict))
        examples.split_names = artifact_utils.encode_split_names(list(config.splits.names))
        examples.span = files.spans[-1] if files.spans else 0
        # What tfx.components.util.examples_utils.set_payload_format does; to import it costs 8 s.
        examples.set_string_custom_property("payload_format", _PAYLOAD_FORMAT[config.payload])
        _record(counts, examples, _absent(config.source, files))
        named = [*files.main, *files.evaluation][:_NAMED_FILES]
        examples.set_string_custom_property("files", json.dumps(named))


def _ingested(
    config: IngestConfig, files: InputFiles, uri: str, types: dict[str, str]
) -> IngestCounts:
    try:
        return ingest(config, files, uri, types)
    except RowsRejectedError as error:
        named = sorted(name for name in types if f"column {name!r}: " in str(error))
        if not named:
            raise
        raise BeamfleetError(
            f"{error}\nThe types of {', '.join(named)} are those of the schema: if the rows are "
            "right, change them there"
        ) from error


def _types(input_dict: dict[str, list[types.Artifact]]) -> dict[str, str]:
    if not input_dict.get("schema"):
        return {}
    folder = artifact_utils.get_single_uri(input_dict["schema"])
    return types_of_schema(io_utils.get_only_uri_in_dir(folder))


def _files_that_the_driver_saw(config: IngestConfig, exec_properties: dict[str, Any]) -> InputFiles:
    if (span := exec_properties.get("span")) is not None:
        source = dataclasses.replace(config.source, span=span, back=0)
        config = dataclasses.replace(config, source=source)
    files = find_files(config)
    if files.fingerprint != exec_properties["input_fingerprint"]:
        raise BeamfleetError(
            f"{', '.join(config.source.paths)}: files changed while the node started; run again"
        )
    return files


def _absent(source: Source, files: InputFiles) -> list[str]:
    """What a window asked for and was not there."""
    if not files.spans:
        return []
    wanted = range(files.spans[-1] - source.window + 1, files.spans[-1] + 1)
    missing = [str(span) for span in wanted if span not in files.spans]
    read = ", ".join(map(str, files.spans))
    return [f"spans {read} were read; there is no span {', '.join(missing)}"] if missing else []


def _record_nothing(examples: types.Artifact) -> None:
    examples.split_names = artifact_utils.encode_split_names([])
    examples.set_string_custom_property("payload_format", _PAYLOAD_FORMAT["parquet"])
    examples.set_string_custom_property("skipped", "there is no earlier span")


def _record(counts: IngestCounts, examples: types.Artifact, absent: list[str]) -> None:
    examples.set_int_custom_property("rows_in", counts.rows_in)
    examples.set_int_custom_property("rows_rejected", counts.rows_rejected)
    examples.set_int_custom_property("rows_gap", counts.rows_gap)
    if counts.rows_eval_in_train is not None:
        examples.set_int_custom_property("rows_eval_in_train", counts.rows_eval_in_train)
    if notes := [*absent, *counts.notes]:
        examples.set_string_custom_property("notes", "\n".join(notes))
    for split, rows in counts.splits.items():
        examples.set_int_custom_property(f"rows_{split}", rows)
