"""Makes the state of the images part of the cache key."""

import uuid

from tfx.dsl.components.base import base_driver
from tfx.orchestration.portable import base_driver as portable_driver
from tfx.orchestration.portable.data_types import ExecutionInfo
from tfx.proto.orchestration import driver_output_pb2

from components.image_example_gen.config import ImageSource
from components.image_example_gen.plan import plan_images


class Driver(base_driver.BaseDriver, portable_driver.BaseDriver):
    """Sets `input_fingerprint`, and `fetch` where only fetching shows what there is."""

    def run(self, execution_info: ExecutionInfo) -> driver_output_pb2.DriverOutput:
        plan = plan_images(ImageSource.from_json(execution_info.exec_properties["source"]))
        output = driver_output_pb2.DriverOutput()
        output.exec_properties["input_fingerprint"].string_value = plan.fingerprint
        if plan.is_volatile:  # never the same twice: never from the cache
            output.exec_properties["fetch"].string_value = uuid.uuid4().hex
        return output
