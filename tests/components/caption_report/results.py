"""InferenceResults of captions to report on, as the bulk inference of an ensemble writes them."""

import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

CAPTION = pa.struct(
    [
        ("text", pa.string()),
        ("probability", pa.float64()),
        ("similarity", pa.float64()),
        ("log_probability", pa.float64()),
        ("place", pa.int32()),
        ("times", pa.int32()),
        ("is_cut", pa.bool_()),
    ]
)
ROW = pa.schema(
    [
        ("image_uri", pa.string()),
        ("variant", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("sha256", pa.string()),
        ("thumbnail", pa.binary()),
        ("captions", pa.list_(CAPTION)),
        ("versions", pa.map_(pa.string(), pa.string())),
        ("reference", pa.string()),
        ("objects", pa.int64()),
    ]
)
DEAD_LETTER = pa.schema([(name, pa.string()) for name in ("image_uri", "stage", "reason")])

HOSTILE = (
    "</script><script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "<!--<script>",
    "javascript:document.title='owned'",
    "\"><svg onload=document.title='owned'>",
    "a\u2028b\u2029c\u202egnp.exe",
    "{{constructor.constructor('document.title=1')()}}&lt;b&gt;",
    "\x1b[31m\x00",
)
"""Names and captions that would like to be more than text."""


def captions(*texts: str, best: float = 0.7) -> list[dict[str, Any]]:
    """Ranked captions, whose probabilities fall from `best`."""
    rest = (1 - best) / max(1, len(texts) - 1)
    return [
        {
            "text": text,
            "probability": rest if place else best,
            "similarity": 0.3 - 0.01 * place,
            "log_probability": math.log(0.5) - place,
            "place": place + 1,
            "times": 1,
            "is_cut": False,
        }
        for place, text in enumerate(texts)
    ]


def row(uri: str, *texts: str, best: float = 0.7, **columns: Any) -> dict[str, Any]:
    """A row of the predictions."""
    return {
        "image_uri": uri,
        "variant": "",
        "width": 8,
        "height": 6,
        "thumbnail": THUMBNAIL,
        "captions": captions(*texts, best=best),
        "versions": [("caption", "blip@1"), ("rank", "clip@2")],
        **columns,
    }


def image(colour: str = "red", form: str = "JPEG", size: tuple[int, int] = (8, 6)) -> bytes:
    """A small image file."""
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, form)
    return buffer.getvalue()


THUMBNAIL = image("teal")


def write_result(
    folder: Path,
    rows: Iterable[Mapping[str, Any]],
    dead: Sequence[tuple[str, str, str]] = (),
    rows_a_file: int = 400,
) -> str:
    """Writes the folder and returns its URI; `dead` are (image_uri, stage, reason)."""
    count = 0
    (folder / "predictions").mkdir(parents=True)
    for number, part in enumerate(_parts(rows, rows_a_file)):
        count += part.num_rows
        pq.write_table(part, folder / "predictions" / f"part-{number:05}.parquet")
    if dead:
        (folder / "dead_letters").mkdir()
        letters = [dict(zip(DEAD_LETTER.names, letter, strict=True)) for letter in dead]
        table = pa.Table.from_pylist(letters, DEAD_LETTER)
        pq.write_table(table, folder / "dead_letters" / "part-00000.parquet")
    summary = {"images_in": count + len(dead), "images": count, "images_failed": len(dead)}
    (folder / "summary.json").write_text(json.dumps({**summary, "model_version": 3}))
    return str(folder)


def _parts(rows: Iterable[Mapping[str, Any]], size: int) -> Iterator[pa.Table]:
    rest = iter(rows)
    while part := list(islice(rest, size)):
        yield pa.Table.from_pylist(part, ROW)


def write_rejects(path: Path, rejects: Sequence[tuple[str, int, str, str]]) -> str:
    """Writes what ImageExampleGen could not read: (file, line, reason, text)."""
    names = ("file", "line", "reason", "text")
    rows = [dict(zip(names, reject, strict=True)) for reject in rejects]
    pq.write_table(pa.Table.from_pylist(rows), path)
    return str(path)
