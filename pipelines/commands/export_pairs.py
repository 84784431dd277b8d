"""`beamfleet export --to webdataset|imagefolder`: pairs to train an image generator on."""

import argparse
import json
import sys
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.captioned import find_captions
from pipelines.counting import counting_on
from pipelines.render import number

if TYPE_CHECKING:
    from components.caption_report.export import Exported

_NAMED = 10
"""Images that failed are named on the terminal; the others in the file."""


def main(arguments: argparse.Namespace) -> int:
    """Exports and says what became of the images; 1 if one could not be read again."""
    captions = find_captions(arguments.what)
    # Imported once the arguments are known to be good: Arrow and Pillow take a while.
    from components.caption_report.export import ExportConfig, export_pairs
    from components.images.fetch import FetchLimits

    config = ExportConfig(
        arguments.to,
        arguments.min_probability,
        arguments.caption,
        FetchLimits(allow_private=arguments.allow_private),
    )
    with counting_on(sys.stderr, "images", silent=arguments.json) as progress:
        exported = export_pairs(captions.uri, arguments.out, config, progress, captions.rejects)
    if arguments.json:
        print(json.dumps({**asdict(exported), "result": captions.uri, "out": arguments.out}))
    else:
        _report(exported, captions.uri, arguments)
    return 1 if exported.unreadable else 0


def _report(exported: "Exported", folder: str, arguments: argparse.Namespace) -> None:
    print(f"{number(exported.exported)} of {number(exported.images_in)} images of {folder}")
    print(f"are in {arguments.out}; read them with {_how_to_read(arguments)}")
    if exported.below_threshold:
        least = f"{arguments.min_probability:g}"
        print(f"{number(exported.below_threshold)} have no caption of probability {least} or more")
    if exported.failed:
        _report_failed(exported.failed, Path(arguments.out))


def _how_to_read(arguments: argparse.Namespace) -> str:
    if arguments.to == "imagefolder":
        several = ", where `text` is a list" if arguments.caption == "all" else ""
        return f"datasets.load_dataset({arguments.out!r}){several}"
    last = max(path.stem for path in Path(arguments.out, "train").glob("*.tar"))
    shards = f"{{000000..{last}}}.tar" if int(last) else "000000.tar"
    return f"webdataset.WebDataset({f'{arguments.out}/train/{shards}'!r})"


def _report_failed(count: int, out: Path) -> None:
    from components.caption_report.export import FAILED
    from components.printable import printable

    print(f"{number(count)} failed, see {out / FAILED}:", file=sys.stderr)
    with (out / FAILED).open(encoding="utf-8") as file:
        for line in islice(file, _NAMED):
            failed = json.loads(line)
            text = f"{failed['image_uri']}: {failed['reason']} ({failed['stage']})"
            print(f"  {printable(text)}", file=sys.stderr)
    if count > _NAMED:
        print(f"  and {number(count - _NAMED)} more", file=sys.stderr)
