"""`beamfleet export`: captioned images as pairs, or what a run did for other tools."""

import argparse

from components.errors import BeamfleetError

_PAIRS = ("webdataset", "imagefolder")
_OF_PAIRS = ("min_probability", "caption", "allow_private")


def main(arguments: argparse.Namespace) -> int:
    """Exports to what `--to` names."""
    if arguments.to in _PAIRS:
        from pipelines.commands import export_pairs

        _check_out(arguments)
        arguments.min_probability = arguments.min_probability or 0.0
        arguments.caption = arguments.caption or "best"
        return export_pairs.main(arguments)
    from pipelines.commands import export_run

    if given := [name for name in _OF_PAIRS if getattr(arguments, name)]:
        option = given[0].replace("_", "-")
        raise BeamfleetError(f"--{option} is for captioned images (--to {' or '.join(_PAIRS)})")
    if bool(arguments.out) == bool(arguments.url):
        raise BeamfleetError(f"--to {arguments.to} needs one of --out and --url")
    return export_run.main(arguments)


def _check_out(arguments: argparse.Namespace) -> None:
    if arguments.url or not arguments.out:
        raise BeamfleetError(f"--to {arguments.to} writes files: give --out DIR, and no --url")
