"""Executor of FeatureExampleGen."""

import json
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils

from components.errors import BeamfleetError
from components.feature_backfill.source_files import files_of
from components.feature_computer.compute import compute
from components.feature_computer.declared import moment, views_of
from components.feature_example_gen.config import FeatureExamplesConfig
from components.feature_example_gen.labelled import labelled_service
from components.feature_example_gen.make import Made, make_examples
from components.feature_example_gen.state import state
from components.feature_store.store import FeatureStore
from components.feature_vectors.trained_with import of_service, write_trained_with
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
        service, store = labelled_service(config), FeatureStore(exec_properties["store"])
        as_of = moment(config.as_of, "as_of")
        assert as_of is not None
        # Later runs may have computed other values since the views were taken from the cache.
        compute(service, store, as_of)
        made = make_examples(service, config, store, as_of, examples.uri)
        trained = of_service(service, config, str(store.root.absolute()), made.fitted)
        write_trained_with(examples.uri, trained)
        examples.split_names = artifact_utils.encode_split_names(list(config.split_names))
        examples.span = 0
        examples.set_string_custom_property("payload_format", "FORMAT_PARQUET")
        _record(made, examples)
        _record_definition(service, config, exec_properties["definition_fingerprint"], examples)


def _record(made: Made, examples: types.Artifact) -> None:
    for name in ("rows_in", "rows_rejected", "rows_gap"):
        examples.set_int_custom_property(name, getattr(made, name))
    for split, rows in made.splits.items():
        examples.set_int_custom_property(f"rows_{split}", rows)
    examples.set_int_custom_property("labels_unknown", made.unknown)
    examples.set_int_custom_property("training_set", made.number)


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
    files = [str(file) for file in files_of(service.labels)]
    examples.set_string_custom_property("files", json.dumps(files))
