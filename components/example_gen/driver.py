"""Makes the state of the input files part of the cache key."""

from tfx.dsl.components.base import base_driver
from tfx.orchestration.portable import base_driver as portable_driver
from tfx.orchestration.portable.data_types import ExecutionInfo
from tfx.proto.orchestration import driver_output_pb2

from components.example_gen.files import find_files
from components.example_gen.source import IngestConfig
from components.user_function import code_fingerprint


class Driver(base_driver.BaseDriver, portable_driver.BaseDriver):
    """Sets `input_fingerprint`, `clean_fingerprint` and, where paths hold one, `span`."""

    def run(self, execution_info: ExecutionInfo) -> driver_output_pb2.DriverOutput:
        config = IngestConfig.from_json(execution_info.exec_properties["source"])
        files = find_files(config)
        output = driver_output_pb2.DriverOutput()
        output.exec_properties["input_fingerprint"].string_value = files.fingerprint
        if config.clean:
            fingerprint = code_fingerprint(config.clean)
            output.exec_properties["clean_fingerprint"].string_value = fingerprint
        if files.spans:
            output.exec_properties["span"].int_value = files.spans[-1]
        return output
