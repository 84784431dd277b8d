"""tf.train.Example without TensorFlow, whose import takes seconds."""

from functools import cache
from typing import Any

_PROTO = """
name: "beamfleet/example.proto" package: "beamfleet" syntax: "proto3"
message_type {
  name: "BytesList"
  field { name: "value" number: 1 type: TYPE_BYTES label: LABEL_REPEATED }
}
message_type {
  name: "Feature"
  field {
    name: "bytes_list" number: 1 label: LABEL_OPTIONAL
    type: TYPE_MESSAGE type_name: ".beamfleet.BytesList"
  }
}
message_type {
  name: "Features"
  nested_type {
    name: "FeatureEntry" options { map_entry: true }
    field { name: "key" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
    field {
      name: "value" number: 2 label: LABEL_OPTIONAL
      type: TYPE_MESSAGE type_name: ".beamfleet.Feature"
    }
  }
  field {
    name: "feature" number: 1 label: LABEL_REPEATED
    type: TYPE_MESSAGE type_name: ".beamfleet.Features.FeatureEntry"
  }
}
message_type {
  name: "Example"
  field {
    name: "features" number: 1 label: LABEL_OPTIONAL
    type: TYPE_MESSAGE type_name: ".beamfleet.Features"
  }
}
"""
"""What of it is needed: numbers in a feature are passed over.

Source: tensorflow/core/example/example.proto and feature.proto
"""


@cache
def example_class() -> Any:
    """The message class; `Example.FromString(content).features.feature[key].bytes_list.value`."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

    proto = text_format.Parse(_PROTO, descriptor_pb2.FileDescriptorProto())
    pool = descriptor_pool.DescriptorPool()  # of our own: TensorFlow's has names of its own
    pool.Add(proto)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("beamfleet.Example"))
