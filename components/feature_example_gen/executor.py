"""Executor of FeatureExampleGen."""

import json
from pathlib import Path
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils

from components.errors import BeamfleetError
from components.feature_backfill.backfill import read_log
from components.feature_computer.compute import compute
from components.feature_computer.declared import files_of, views_of
from components.feature_example_gen.config import FeatureExamplesConfig
from components.feature_example_gen.labelled import labelled_service
from components.feature_example_gen.make import Counts, make_examples
from components.feature_example_gen.splits import moment, spans
from components.feature_example_gen.state import state
from components.features.service import FeatureService


class Executor(base_executor.BaseExecutor):
    """Translates labels and features into an Examples artifact."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        [examples] = output_dict["examples"]
        config = FeatureExamplesConfig.from_json(exec_properties["source"])
        for name, value in state(exec_properties, {}).items():
            if value != exec_properties[name]:
                raise BeamfleetError(
                    f"{config.features}: definitions or files changed while the node started; run "
                    "again"
                )
        service, store = labelled_service(config), Path(exec_properties["store"])
        end = moment(config.as_of, "as_of")
        [views] = input_dict["views"]
        until = views.get_string_custom_property("as_of")
        # Another run may have computed other values since these views were taken from the cache.
        compute(service, store, moment(until, "as_of") if until else None)
        counts = make_examples(
            service,
            spans(config.splits, config.gap, end),
            end,
            lambda view: read_log(view, store),
            examples.uri,
        )
        examples.split_names = artifact_utils.encode_split_names(list(config.splits))
        examples.span = 0
        examples.set_string_custom_property("payload_format", "FORMAT_PARQUET")
        _record(counts, examples)
        _record_definition(service, config, exec_properties["definition_fingerprint"], examples)


def _record(counts: Counts, examples: types.Artifact) -> None:
    for name in ("rows_in", "rows_rejected", "rows_repeated", "rows_gap"):
        examples.set_int_custom_property(name, getattr(counts, name))
    for split, rows in counts.splits.items():
        examples.set_int_custom_property(f"rows_{split}", rows)
    examples.set_int_custom_property("labels_unknown", counts.unknown)


def _record_definition(
    service: FeatureService,
    config: FeatureExamplesConfig,
    definition: str,
    examples: types.Artifact,
) -> None:
    assert service.labels is not None
    views = ", ".join(f"{view.name} v{view.version}" for view in views_of(service))
    examples.set_string_custom_property("features", config.features)
    examples.set_string_custom_property("feature_service", service.name)
    examples.set_int_custom_property("feature_version", service.version)
    examples.set_string_custom_property("feature_views", views)
    examples.set_string_custom_property("definition", definition)
    examples.set_string_custom_property("as_of", config.as_of)
    examples.set_string_custom_property("files", json.dumps(list(files_of(service.labels))))
