"""TFRecord files as TensorFlow writes them."""

from pathlib import Path
from typing import Any


def tf_example(**features: Any) -> bytes:
    """Keys with __ for the slash: `image__encoded=b"..."`."""
    import tensorflow as tf

    example = tf.train.Example()
    for name, value in features.items():
        feature = example.features.feature[name.replace("__", "/")]
        values = value if isinstance(value, list) else [value]
        if isinstance(values[0], int):
            feature.int64_list.value.extend(values)
        elif isinstance(values[0], float):
            feature.float_list.value.extend(values)
        else:
            feature.bytes_list.value.extend(values)
    return example.SerializeToString()


def write_tfrecord(path: Path, records: list[bytes]) -> str:
    import tensorflow as tf

    compression = "GZIP" if path.suffix == ".gz" else ""
    with tf.io.TFRecordWriter(str(path), compression) as writer:
        for record in records:
            writer.write(record)
    return str(path)
