"""Results of ensembles of captions, as the inferrer writes them, made by hand."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

CAPTIONS = pa.list_(
    pa.struct(
        [
            ("text", pa.string()),
            ("probability", pa.float64()),
            ("similarity", pa.float64()),
            ("log_probability", pa.float64()),
            ("place", pa.int32()),
        ]
    )
)
TYPES = {
    "versions": pa.map_(pa.string(), pa.string()),
    "thumbnail": pa.binary(),
    "width": pa.int32(),
    "height": pa.int32(),
    "objects": pa.int64(),
}
RED, BLUE, GREEN = "a small red circle", "a large blue square", "a small green circle"


def ranked(*texts: str, own: int = 0, similarity: float = 0.3) -> list[dict[str, Any]]:
    """Captions in the ranker's order; `own` is the one that the captioner puts first."""
    order = [own, *(i for i in range(len(texts)) if i != own)]
    return [
        {
            "text": text,
            "probability": 2.0 ** -(i + 1),
            "similarity": similarity - i / 100,
            "log_probability": -float(order.index(i)),
            "place": order.index(i) + 1,
        }
        for i, text in enumerate(texts)
    ]


def image(
    uri: str, captions: list[dict[str, Any]] | None, reference: str | None = None, **columns: Any
) -> dict[str, Any]:
    """A row of predictions."""
    return {
        "image_uri": uri,
        "variant": "",
        "width": 64,
        "height": 64,
        "thumbnail": b"\xff\xd8",
        "captions": captions,
        "versions": [("caption", "blip 1"), ("rank", "clip 1")],
        "reference": reference,
        **columns,
    }


def dead(uri: str, reason: str = "is not an image", **columns: Any) -> dict[str, Any]:
    """A dead letter."""
    return {"image_uri": uri, "variant": "", "stage": "read", "reason": reason, **columns}


def write_result(
    folder: Path,
    images: Sequence[dict[str, Any]],
    dead_letters: Sequence[dict[str, Any]] = (),
    parts: int = 1,
    told: Mapping[str, Any] | None = None,
    captions: pa.DataType = CAPTIONS,
) -> str:
    """Writes the folder of an InferenceResult; `told` overrides what is told of it."""
    folder.mkdir(parents=True)
    for part in range(parts if images else 0):
        _write(folder / "predictions" / f"part-{part:05d}.parquet", images[part::parts], captions)
    if dead_letters:
        _write(folder / "dead_letters" / "part-00000.parquet", dead_letters, captions)
    summary = {
        "images_in": len(images) + len(dead_letters),
        "images": len(images),
        "images_failed": len(dead_letters),
    }
    (folder / "summary.json").write_text(json.dumps({**summary, **(told or {})}), encoding="utf-8")
    return str(folder)


def _write(path: Path, rows: Sequence[dict[str, Any]], captions: pa.DataType) -> None:
    path.parent.mkdir(exist_ok=True)
    types = {**TYPES, "captions": captions}
    columns = {
        name: pa.array([row[name] for row in rows], types.get(name, pa.string()))
        for name in rows[0]
    }
    pq.write_table(pa.table(columns), path)
