"""Records -> rows of the results."""

import io
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any

import numpy as np

from components.ensemble.record import Record

PREDICTIONS = "predictions"
DEAD_LETTERS = "dead_letters"
MADE = ("variant", "width", "height", "thumbnail", "versions", "stage", "reason")
"""Columns of the results beside the source's and those of the stages."""
THUMBNAIL_SIDE = 192
"""Pixels of the longer side."""
_JPEG_QUALITY = 82


@dataclass(frozen=True)
class Row:
    """A line of predictions or of dead letters."""

    kind: str
    """PREDICTIONS or DEAD_LETTERS."""
    key: str
    values: dict[str, Any]


def result_row(record: Record, columns: Mapping[str, str]) -> Row:
    """Makes the line that stays of a record; large inputs such as pixels stay behind.

    Args:
      record: out of the ensemble.
      columns: name of a result column -> stage whose prediction it holds. Predictions of other
        stages are not written.
    """
    if record.failure is not None:
        letter = {
            **dict(_small(record)),
            "image_uri": record.key,
            "variant": record.variant,
            "stage": record.failure.stage,
            "reason": record.failure.reason,
        }
        return Row(DEAD_LETTERS, record.key, letter)
    stages = {name: _plain(record.values[stage]) for name, stage in columns.items()}
    plain = {**dict(_small(record)), "variant": record.variant, **dict(_picture(record)), **stages}
    return Row(PREDICTIONS, record.key, {**plain, "versions": list(record.versions.items())})


def _small(record: Record) -> Iterator[tuple[str, Any]]:
    """The source's columns that are worth repeating."""
    for name, value in record.values.items():
        if value is None or isinstance(value, str | int | float | bool):
            yield name, value


def _picture(record: Record) -> Iterator[tuple[str, Any]]:
    for value in record.values.values():
        if isinstance(value, np.ndarray) and value.ndim == 3 and value.dtype == np.uint8:
            yield "width", value.shape[1]
            yield "height", value.shape[0]
            yield "thumbnail", thumbnail(value)
            return


def thumbnail(pixels: np.ndarray) -> bytes:
    """A small JPEG of (height, width, 3) uint8 pixels, so that a report needs no originals."""
    from PIL import Image

    image = Image.fromarray(pixels)
    image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    content = io.BytesIO()
    image.save(content, "JPEG", quality=_JPEG_QUALITY)
    return content.getvalue()


def _plain(value: Any) -> Any:
    """Predictions as Arrow can infer their type: dataclasses become structs, arrays lists."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return value
