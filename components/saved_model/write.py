"""Describes a SavedModel that a `run_fn` has saved."""

import hashlib
from collections.abc import Sequence
from typing import Any

from components.entity_models.spec import ModelSpec
from components.errors import BeamfleetError
from components.files import open_file, write_json
from components.saved_model.layout import DESCRIPTION, FORMAT, VERSION
from components.saved_model.program import Program, read_program

_CHUNK_BYTES = 1 << 20


def describe(
    folder: str, label: str, task: str, classes: Sequence[str] | Sequence[int] = ()
) -> ModelSpec:
    """Writes `beamfleet.json`, by which the model is known from then on to be whole.

    Args:
      folder: Of the SavedModel.
      label: Column that it predicts.
      task: `classification` or `regression`.
      classes: In the order of the outputs; default: 0, 1, ... A single output is the probability
        of the second of two.

    Raises:
      BeamfleetError: the graph takes or gives something else, or reaches out of itself.
    """
    program = read_program(folder)
    spec = ModelSpec(
        entity_columns=(),
        label=label,
        task=task,
        features=program.features,
        classes=_classes(folder, program, task, classes),
    )
    document = {
        "format": FORMAT,
        "version": VERSION,
        "spec": spec.to_dict(),
        "output": program.output,
        "files": {name: digest(f"{folder}/{name}") for name in files_of(folder)},
    }
    write_json(f"{folder}/{DESCRIPTION}", document)
    return spec


def digest(path: str) -> str:
    """SHA-256 of a file."""
    found = hashlib.sha256()
    with open_file(path) as file:
        while chunk := file.read(_CHUNK_BYTES):
            found.update(chunk)
    return found.hexdigest()


def files_of(folder: str) -> list[str]:
    """Names of all files of a SavedModel, relative to its folder, sorted; without the description.

    Works on any Beam filesystem.
    """
    from apache_beam.io.filesystems import FileSystems

    [match] = FileSystems.match([f"{folder}/**"])
    names = [metadata.path[len(folder) + 1 :] for metadata in match.metadata_list]
    return sorted(name for name in names if name != DESCRIPTION)


def _classes(folder: str, program: Program, task: str, given: Sequence[Any]) -> tuple[Any, ...]:
    if task == "regression":
        if program.width != 1:
            raise BeamfleetError(
                f"{folder}: output {program.output!r} gives {program.width} numbers a row, a "
                "regression gives 1"
            )
        return ()
    size = 2 if program.width == 1 else program.width
    if given and len(given) != size:
        raise BeamfleetError(
            f"{folder}: output {program.output!r} gives the probabilities of {size} classes, but "
            f"classes names {len(given)}: {list(given)}"
        )
    return tuple(given) or tuple(range(size))
