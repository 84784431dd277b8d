"""Makes the state of the pushed directory part of the cache key."""

from tfx.dsl.components.base import base_driver
from tfx.orchestration.portable import base_driver as portable_driver
from tfx.orchestration.portable.data_types import ExecutionInfo
from tfx.proto.orchestration import driver_output_pb2
from tfx.types.artifact_utils import get_single_instance

from components.pusher.executor import candidate_uri, rivals
from components.pusher.splits import running_split
from components.pusher.versions import PushedVersions


class Driver(base_driver.BaseDriver, portable_driver.BaseDriver):
    """Sets `baseline_version`, `directory_id` and `running_split`.

    With another version in service, or another directory in the old one's place, the push is a new
    decision; so it is once the split that kept it from being pushed has ended.
    """

    def run(self, execution_info: ExecutionInfo) -> driver_output_pb2.DriverOutput:
        versions = PushedVersions(execution_info.exec_properties["push_destination"])
        model = get_single_instance(execution_info.input_dict["model"])
        output = driver_output_pb2.DriverOutput()
        candidate = candidate_uri(model)
        baseline = versions.baseline_for(candidate, *rivals(model))
        split = running_split(versions.directory, candidate)
        output.exec_properties["baseline_version"].int_value = baseline
        output.exec_properties["directory_id"].string_value = versions.directory_id()
        output.exec_properties["running_split"].string_value = split
        return output
