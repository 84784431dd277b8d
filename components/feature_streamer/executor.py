"""Executor of FeatureStreamer."""

from dataclasses import asdict
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor

from components.feature_computer.declared import declared, moment
from components.feature_store.store import FeatureStore
from components.feature_streamer.catch_up import catch_up
from components.files import write_json

_NOT_COUNTS = ("view", "version")


class Executor(base_executor.BaseExecutor):
    """Translates streams into up-to-date features."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        [stream] = output_dict["stream"]
        as_of, until = (moment(exec_properties[name], name) for name in ("as_of", "until"))
        assert as_of is not None and until is not None
        store = FeatureStore(exec_properties["store"])
        views = [
            asdict(v) for v in catch_up(declared(exec_properties["features"]), store, as_of, until)
        ]
        for name in (name for name in views[0] if name not in _NOT_COUNTS):
            stream.set_int_custom_property(name, sum(view[name] for view in views))
        stream.set_string_custom_property("until", exec_properties["until"])
        write_json(f"{stream.uri}/stream.json", {"views": views})
