"""Executor of FeatureComputer."""

from dataclasses import asdict
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor

from components.errors import BeamfleetError
from components.feature_computer.compute import compute
from components.feature_computer.declared import (
    data_fingerprint,
    declared,
    moment,
    sources_of,
)
from components.feature_store.store import FeatureStore
from components.files import write_json

_COUNTS = ("rows_in", "rejected", "filtered", "later", "duplicates", "events", "rows_out")


class Executor(base_executor.BaseExecutor):
    """Translates definitions into a store of features."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        [views] = output_dict["views"]
        features, as_of = declared(exec_properties["features"]), exec_properties["as_of"]
        if data_fingerprint(sources_of(features)) != exec_properties["data_fingerprint"]:
            raise BeamfleetError(
                f"{exec_properties['features']}: files of its sources changed while the node "
                "started; run again"
            )
        store = FeatureStore(exec_properties["store"])
        computed = compute(features, store, moment(as_of, "as_of"))
        for name in _COUNTS:
            views.set_int_custom_property(name, sum(getattr(one, name) for one in computed))
        views.set_int_custom_property("views", len(computed))
        views.set_string_custom_property("service", features.name)
        views.set_int_custom_property("version", features.version)
        views.set_string_custom_property("definition", exec_properties["definition_fingerprint"])
        views.set_string_custom_property("as_of", as_of)
        views.set_string_custom_property("store", exec_properties["store"])
        write_json(f"{views.uri}/views.json", {"views": [asdict(one) for one in computed]})
