"""A TFX driver that puts what a node looks at outside into its cache key."""

from tfx.dsl.components.base import base_driver
from tfx.orchestration.portable import base_driver as portable_driver
from tfx.orchestration.portable.data_types import ExecutionInfo
from tfx.proto.orchestration import driver_output_pb2

from components.outside import Given, Inputs, Parameters, State


class StateDriver(base_driver.BaseDriver, portable_driver.BaseDriver):
    """Sets the parameters that `state` gives; a subclass lies beside its `state.py`."""

    @staticmethod
    def state(parameters: Parameters, inputs: Inputs) -> State:
        """Of the subclass."""
        raise NotImplementedError

    def run(self, execution_info: ExecutionInfo) -> driver_output_pb2.DriverOutput:
        inputs = {
            key: [Given.of(artifact.mlmd_artifact) for artifact in artifacts]
            for key, artifacts in execution_info.input_dict.items()
        }
        output = driver_output_pb2.DriverOutput()
        for name, value in self.state(execution_info.exec_properties, inputs).items():
            if isinstance(value, int):
                output.exec_properties[name].int_value = value
            else:
                output.exec_properties[name].string_value = value
        return output
