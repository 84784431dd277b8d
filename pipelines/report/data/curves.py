"""Training curves: the scalars that TensorBoard would show, read without TensorFlow."""

import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.metadata import Node
from pipelines.report.source import Source

_HEAD, _TAIL = 12, 4
"""Bytes around a record: its length with a checksum, and the checksum of the content."""
_EPOCH = "epoch_"
_MOST_POINTS = 500


@dataclass(frozen=True)
class Curve:
    """One metric over the epochs (or steps)."""

    node: str
    """The trainer."""
    metric: str
    by: str
    """epoch or step."""
    lines: Mapping[str, list[tuple[int, float]]]
    """By the rows that it was measured on, such as train and validation."""


def read_curves(source: Source) -> list[Curve]:
    """Curves of each trainer's ModelRun: the loss first; empty if none wrote any."""
    return [curve for node in trainers(source) for curve in _of(node)]


def trainers(source: Source) -> list[Node]:
    """Nodes that train one model each."""
    return [node for node in source.run.nodes if node.output("model_run")]


def _of(node: Node) -> list[Curve]:
    artifact = node.output("model_run")
    files = sorted(Path(artifact.uri).rglob("events.out.tfevents.*")) if artifact else []
    scalars: dict[str, dict[str, dict[int, float]]] = {}
    for file in files:
        where = file.parent.name if artifact and file.parent != Path(artifact.uri) else "train"
        for tag, step, value in _scalars(file):
            scalars.setdefault(tag, {}).setdefault(where, {})[step] = value
    epochs = {tag: lines for tag, lines in scalars.items() if tag.startswith(_EPOCH)}
    chosen, by = (epochs, "epoch") if epochs else (scalars, "step")
    curves = [_curve(node.name, tag, by, lines) for tag, lines in chosen.items()]
    return sorted(
        (c for c in curves if _is_a_curve(c)), key=lambda c: (c.metric != "loss", c.metric)
    )


def _curve(node: str, tag: str, by: str, lines: Mapping[str, Mapping[int, float]]) -> Curve:
    first = 1 if by == "epoch" else 0  # people count epochs from one
    return Curve(
        node,
        re.sub(r"[_/]+", " ", tag.removeprefix(_EPOCH)).strip(),
        by,
        {
            name: _thinned([(step + first, value) for step, value in sorted(points.items())])
            for name, points in sorted(lines.items(), key=lambda item: item[0] != "train")
        },
    )


def _is_a_curve(curve: Curve) -> bool:
    """Not what never moves, such as a learning rate that stays."""
    values = {value for line in curve.lines.values() for _, value in line}
    return len(values) > 1


def _thinned(points: list[tuple[int, float]]) -> list[tuple[int, float]]:
    every = -(-len(points) // _MOST_POINTS)
    return points[::every] if every > 1 else points


def _scalars(file: Path) -> Iterator[tuple[str, int, float]]:
    """Tag, step and value; ends where the file was cut off.

    Source: https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details
    """
    from tensorboard.compat.proto import event_pb2

    content, place = file.read_bytes(), 0
    while place + _HEAD <= len(content):
        (length,) = struct.unpack_from("<Q", content, place)
        record = content[place + _HEAD : place + _HEAD + length]
        if len(record) < length:
            return
        place += _HEAD + length + _TAIL
        event = event_pb2.Event.FromString(record)
        for value in event.summary.value:
            number = _number(value)
            if number is not None and number == number and abs(number) != float("inf"):
                yield value.tag, event.step, number


def _number(value: Any) -> float | None:
    """Of a scalar summary, of TensorFlow 1 or 2."""
    if value.WhichOneof("value") == "simple_value":
        return float(value.simple_value)
    tensor = value.tensor
    if value.metadata.plugin_data.plugin_name != "scalars" or tensor.tensor_shape.dim:
        return None
    form = {1: "<f", 2: "<d"}.get(tensor.dtype)  # DT_FLOAT, DT_DOUBLE
    if form and len(tensor.tensor_content) == struct.calcsize(form):
        return float(struct.unpack(form, tensor.tensor_content)[0])
    values = [*tensor.float_val, *tensor.double_val]
    return float(values[0]) if values else None
