"""Makes what the folders and revisions hold part of the cache key."""

import json
from dataclasses import asdict

from tfx.dsl.components.base import base_driver
from tfx.orchestration.portable import base_driver as portable_driver
from tfx.orchestration.portable.data_types import ExecutionInfo
from tfx.proto.orchestration import driver_output_pb2

from components.ensemble.weights import ModelSource


class Driver(base_driver.BaseDriver, portable_driver.BaseDriver):
    """Sets `sources`: each model with its commit on the hub, or with the hash of its files."""

    def run(self, execution_info: ExecutionInfo) -> driver_output_pb2.DriverOutput:
        models = json.loads(execution_info.exec_properties["models"])
        sources = {name: asdict(ModelSource.parse(text).pinned()) for name, text in models.items()}
        output = driver_output_pb2.DriverOutput()
        output.exec_properties["sources"].string_value = json.dumps(sources, sort_keys=True)
        return output
