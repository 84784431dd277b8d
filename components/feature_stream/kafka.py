"""Rows of a topic for StreamFeatures, by Beam's own connector."""

from typing import Any

import apache_beam as beam

from components.errors import BeamfleetError
from components.features.source import Kafka, Source


def kafka_rows(source: Source) -> beam.PTransform:
    """Reads the JSON objects of a source's topic; needs Java and a runner that streams.

    A message that is no JSON object comes through as a row without columns, which StreamFeatures
    rejects with its reason.

    Raises:
      BeamfleetError: the source's stream is no topic.
    """
    from apache_beam.io.kafka import ReadFromKafka

    topic = source.stream
    if not isinstance(topic, Kafka):
        raise BeamfleetError(
            f"source {source.name!r} has {topic!r} as its stream, expected Kafka(topic, servers)"
        )
    servers = {"bootstrap.servers": topic.servers, "auto.offset.reset": "earliest"}
    read = ReadFromKafka(
        consumer_config=servers, topics=[topic.topic], timestamp_policy="LogAppendTime"
    )
    return f"Read {topic.topic}" >> read | f"Parse {topic.topic}" >> beam.Map(_row)


def _row(message: tuple[bytes, bytes]) -> dict[str, Any]:
    from components.feature_values.json_objects import json_object

    row, _ = json_object(message[1])
    return row or {"message": message[1].decode(errors="replace")}
