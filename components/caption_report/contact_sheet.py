"""One HTML file in which a person looks at captioned images; it needs nothing else, and no network.

Texts stand in it as JSON, thumbnails as base64 lines, both in blocks that the page's script reads.
Nothing from outside becomes markup or script: names and captions are escaped in HTML and in JSON,
the script only ever sets text, and the page's Content-Security-Policy lets no other script run.
"""

import base64
import hashlib
import heapq
import html
import itertools
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from string import Template
from typing import Any

from components.caption_report.names import natural
from components.caption_report.read import CaptionedImage, CaptionResult, DeadLetter
from components.caption_report.staged import staged_file
from components.printable import printable
from components.words import counted

MAX_IMAGES = 20_000
"""In one file, which then has some 220 MB; a browser opens it in seconds. The page says so."""
MAX_FAILED = 2_000
_PAGE = 1000
"""Images on a page of the sheet."""
_FEW = 60
"""So many of them are drawn at once, before the browser may do other things."""
_BLOCK = 250
"""Images in a block of the file."""
_FILES = Path(__file__).parent / "page"
_SCRIPTS = ("card.js", "sheet.js")


@dataclass(frozen=True)
class SheetConfig:
    """What a sheet says beside the captions."""

    title: str = "Captions"
    """Heading of the page."""
    run: str = ""
    """Name of the run that it is made in, if there is one."""
    note: str = ""
    """What whoever looks at it should know."""
    max_images: int = MAX_IMAGES
    """The first so many are shown; the page says so where there are more."""
    low_confidence: float = 0.5
    """A best caption of a lower probability is one of low confidence."""


def write_contact_sheet(
    result_uri: str, path: str, config: SheetConfig | None = None, rejects: str = ""
) -> None:
    """Writes the contact sheet of an InferenceResult of captions.

    Args:
      result_uri: folder of the result, on any Beam filesystem.
      path: the HTML file; it is whole or absent.
      config: what else it says.
      rejects: file of the examples that names the images which could not be read; may be absent.

    Raises:
      BeamfleetError: there is no such result, or it is not whole.
    """
    config = config or SheetConfig()
    result = CaptionResult(result_uri, rejects)
    shown = min(result.images, config.max_images)
    low = config.low_confidence
    settings = {"low": low, "page": _PAGE, "few": _FEW, "failed": result.failed}
    with staged_file(path) as file:
        file.write(_head(result, config, shown).encode())
        file.write(_script("settings", settings))
        images = itertools.islice(result.rows(thumbnails=True), shown)
        for block in _blocks(images):
            file.write(_script("rows", _texts(block, result.folder)))
            file.write(_thumbnails(block))
        file.write(f"<script>{_asset(*_SCRIPTS)}</script>\n</body>\n</html>\n".encode())


def _head(result: CaptionResult, config: SheetConfig, shown: int) -> str:
    """All that stands in the page before its data: also what a browser without scripts shows."""
    return Template(_asset("sheet.html")).substitute(
        policy=_policy(),
        style=_asset("sheet.css"),
        title=_escaped(config.title),
        images=counted(result.images, "image"),
        failures=f"{result.failed:,}",
        about=_about(result, config.run),
        notice=_notices(result, config.note, shown),
        low=f"{config.low_confidence:g}",
        failed=_failed(result),
    )


def _policy() -> str:
    """Allows our own script and style by their hashes, pictures within the page, and no network."""
    allowed = {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": _hash(_asset("sheet.css")),
        "script-src": _hash(_asset(*_SCRIPTS)),
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {source}" for name, source in allowed.items())


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _about(result: CaptionResult, run: str) -> str:
    parts = [f"<b>{_escaped(result.folder)}</b>"] if result.folder else []
    parts += [f"run {_escaped(run)}"] if run else []
    parts.append(time.strftime("%Y-%m-%d %H:%M"))
    if version := result.summary.get("model_version"):
        parts.append(f"version {_escaped(str(version))} of the ensemble")
    return ", ".join(parts)


def _notices(result: CaptionResult, note: str, shown: int) -> str:
    notes = [note] if note else []
    if shown < result.images:
        text = f"This page shows the first {shown:,} of {result.images:,} images; all are in"
        notes.append(f"{text} {result.uri}/predictions.")
    return "".join(f'<p class="notice">{_escaped(note)}</p>' for note in notes)


def _failed(result: CaptionResult) -> str:
    if not result.failed:
        return "<p>Every image has captions.</p>"
    # Those that could not be read and those that the models refused, in one order.
    letters = heapq.nsmallest(MAX_FAILED, result.dead_letters(), lambda one: natural(one.uri))
    more = result.failed - MAX_FAILED
    where = f"{_escaped(result.uri)}/dead_letters"
    return (
        "<table><thead><tr><th>Image</th><th>Stage</th><th>Reason</th></tr></thead><tbody>\n"
        + "".join(_failed_row(letter, result.folder) for letter in letters)
        + "</tbody></table>"
        + (f'<p class="notice">{more:,} more are in {where}.</p>' if more > 0 else "")
    )


def _failed_row(letter: DeadLetter, folder: str) -> str:
    variant = f" [{letter.variant}]" if letter.variant else ""
    name = _escaped(f"{letter.uri.removeprefix(folder)}{variant}")
    stage, reason = _escaped(letter.stage), _escaped(letter.reason)
    return f'<tr><th scope="row">{name}</th><td>{stage}</td><td>{reason}</td></tr>\n'


def _blocks(images: Iterable[CaptionedImage]) -> Iterator[Sequence[CaptionedImage]]:
    rest = iter(images)
    while block := list(itertools.islice(rest, _BLOCK)):
        yield block


def _texts(block: Sequence[CaptionedImage], folder: str) -> dict[str, Any]:
    """The rows as the script unpacks them, and the few different `versions` that they point to."""
    versions = list(dict.fromkeys(tuple(image.versions.items()) for image in block))
    places = {version: place for place, version in enumerate(versions)}
    rows = [_row(image, folder, places[tuple(image.versions.items())]) for image in block]
    return {"versions": [_shown(dict(version)) for version in versions], "rows": rows}


def _row(image: CaptionedImage, folder: str, version: int) -> list[Any]:
    scores = attrgetter("probability", "similarity", "log_probability")
    captions = [
        [f"{printable(one.text)}{' ...' * one.is_cut}", *map(_rounded, scores(one)), one.place]
        for one in image.captions
    ]
    reference = None if image.reference is None else printable(image.reference)
    return [
        printable(image.uri.removeprefix(folder)),
        printable(image.variant),
        captions,
        reference,
        image.match,
        version,
        _shown(image.slices),
    ]


def _shown(values: Any) -> dict[str, str]:
    return {printable(str(name)): printable(str(value)) for name, value in values.items()}


def _rounded(value: float) -> float | None:
    """Four digits are enough to look at; JSON knows no NaN."""
    return float(f"{value:.4g}") if value == value and abs(value) != float("inf") else None


def _thumbnails(block: Sequence[CaptionedImage]) -> bytes:
    """A line for each image, empty where there is none; the script counts on the first newline."""
    lines = (base64.b64encode(image.thumbnail) for image in block)
    return b'<script type="text/plain" class="thumbnails">\n' + b"\n".join(lines) + b"</script>\n"


def _script(name: str, content: Any) -> bytes:
    """Data for the script; none of its characters can end the element or begin another one."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    safe = text.replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026")
    kind = f'id="{name}"' if name == "settings" else f'class="{name}"'
    return f'<script type="application/json" {kind}>{safe}</script>\n'.encode("ascii")


def _asset(*names: str) -> str:
    return "".join((_FILES / name).read_text(encoding="utf-8") for name in names)


def _escaped(text: str) -> str:
    return html.escape(printable(text))
