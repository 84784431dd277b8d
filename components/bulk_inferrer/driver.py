"""Decides which pushed version predicts, and makes it part of the cache key."""

from tfx.dsl.components.base import base_driver
from tfx.orchestration.portable import base_driver as portable_driver
from tfx.orchestration.portable.data_types import ExecutionInfo
from tfx.proto.orchestration import driver_output_pb2

from components.pusher.versions import PushedVersions


class Driver(base_driver.BaseDriver, portable_driver.BaseDriver):
    """Sets `model_version`: the current version, or 0 if there is none or none is asked for."""

    def run(self, execution_info: ExecutionInfo) -> driver_output_pb2.DriverOutput:
        destination = execution_info.exec_properties["push_destination"]
        current = PushedVersions(destination).current() if destination else None
        output = driver_output_pb2.DriverOutput()
        output.exec_properties["model_version"].int_value = current.number if current else 0
        return output
