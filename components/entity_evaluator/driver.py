"""Makes the version that is pushed part of the cache key."""

from tfx.dsl.components.base import base_driver
from tfx.orchestration.portable import base_driver as portable_driver
from tfx.orchestration.portable.data_types import ExecutionInfo
from tfx.proto.orchestration import driver_output_pb2

from components.pusher.versions import PushedVersions


class Driver(base_driver.BaseDriver, portable_driver.BaseDriver):
    """Sets `baseline_version`: against another pushed version the verdicts are others."""

    def run(self, execution_info: ExecutionInfo) -> driver_output_pb2.DriverOutput:
        destination = execution_info.exec_properties["push_destination"]
        models = execution_info.input_dict["model"]
        versions = PushedVersions(destination) if destination else None
        baseline = versions.baseline_for(*(m.uri for m in models)) if versions else 0
        output = driver_output_pb2.DriverOutput()
        output.exec_properties["baseline_version"].int_value = baseline
        return output
