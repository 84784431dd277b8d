"""What ensemble.json says of an ensemble, format version 1."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from components.ensemble.weights import hash_of_files
from components.errors import BeamfleetError

FORMAT = "beamfleet-ensemble"
VERSION = 1
ENSEMBLE = "ensemble.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_CONTENT = re.compile(r"@([0-9a-f]{12})$")
_T = TypeVar("_T")


@dataclass(frozen=True)
class DeclaredStage:
    """A stage by its name and columns."""

    name: str
    inputs: tuple[str, ...]


@dataclass(frozen=True)
class BundledModel:
    """Where the weights of a model came from."""

    source: str
    """Folder, or name on the Hugging Face hub."""
    revision: str
    """Commit on the hub; "" for a folder."""
    sha256: str
    """Over its files; see `hash_of_files`."""

    @property
    def name(self) -> str:
        """Where it came from and 12 digits of the hash: `models/blip@3f2a90c1d5e7`; a model of the
        hub has its commit before them.
        """
        return "@".join(filter(None, (self.source, self.revision, self.sha256[:12])))


@dataclass(frozen=True)
class Declaration:
    """An ensemble without its weights."""

    ensemble_fn: str
    """Dotted path of the function that builds the ensemble."""
    code_fingerprint: str
    """Of that function's code when the ensemble was written."""
    hparams: Mapping[str, Any]
    models: Mapping[str, BundledModel]
    inputs: tuple[str, ...]
    """Columns that the source must have."""
    stages: tuple[DeclaredStage, ...]
    files: Mapping[str, str]
    """`models/<model>/<file>` -> SHA-256."""
    code: Mapping[str, str] = field(default_factory=dict)
    """What `code_fingerprint` is over, to say what has changed; see `code_parts`."""

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over what predicts: files, code, hparams and stages, wherever they came from."""
        known = {"models", "code"}  # where they came from; and what code_fingerprint says
        content = {key: value for key, value in asdict(self).items() if key not in known}
        text = json.dumps(content, sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """The content of ensemble.json."""
        about = {"format": FORMAT, "version": VERSION, "fingerprint": self.fingerprint}
        return {**asdict(self), **about}

    @staticmethod
    def from_dict(values: Any) -> "Declaration":
        """Inverse of `to_dict`.

        Raises:
          BeamfleetError: it is something else, of another version, or was changed.
        """
        if not isinstance(values, dict) or values.get("format") != FORMAT:
            raise BeamfleetError(f"format {FORMAT!r} expected")
        if values.get("version") != VERSION:
            raise BeamfleetError(
                f"format version {values.get('version')!r}, this release reads {VERSION}"
            )
        declaration = Declaration(
            ensemble_fn=_get(values, "ensemble_fn", str),
            code_fingerprint=_get(values, "code_fingerprint", str),
            hparams=_get(values, "hparams", dict),
            models={name: _model(values, name) for name in _get(values, "models", dict)},
            inputs=_names(values, "inputs"),
            stages=tuple(_stage(stage) for stage in _get(values, "stages", list)),
            files=_get(values, "files", dict),
            code=_get({"code": {}, **values}, "code", dict),
        )
        declaration.check_files()
        if declaration.fingerprint != values.get("fingerprint"):
            raise BeamfleetError("it was changed after it was written; restore the artifact")
        return declaration

    def files_of(self, model: str) -> dict[str, str]:
        """File, relative to the model's folder -> SHA-256."""
        folder = f"models/{model}/"
        return {n.removeprefix(folder): h for n, h in self.files.items() if n.startswith(folder)}

    def check_files(self) -> None:
        """Looks that each file is of a model, has a hash, and lies below the model's folder.

        Raises:
          BeamfleetError: one is not.
        """
        for model in self.models:
            check_name(model)
        for name, sha256 in self.files.items():
            parts = name.split("/")
            if parts[:1] != ["models"] or len(parts) < 3 or parts[1] not in self.models:
                raise BeamfleetError(f"file {name!r} is of no model; restore the artifact")
            if {"", ".", ".."} & set(parts) or "\\" in name or not name.isprintable():
                raise BeamfleetError(f"file {name!r} is outside of it; restore the artifact")
            if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
                raise BeamfleetError(f"file {name!r} has no SHA-256; restore the artifact")
        for name, origin in self.models.items():
            if origin.sha256 != hash_of_files(self.files_of(name)):
                raise BeamfleetError(f"model {name!r} has other files; restore the artifact")


def content_of(name: str) -> str:
    """What tells a model from others: the hash in `BundledModel.name`, or else the whole name."""
    found = _CONTENT.search(name)
    return found[1] if found else name


def check_name(name: str) -> None:
    """Looks that the name of a model can be that of a folder.

    Raises:
      BeamfleetError: it cannot.
    """
    if not _NAME.fullmatch(name):
        raise BeamfleetError(
            f"the name of a model must be 1 to 64 letters, digits, _ and -, got {name!r}"
        )


def _get(values: Mapping[str, Any], key: str, kind: type[_T]) -> _T:
    value = values.get(key) if isinstance(values, Mapping) else None
    if not isinstance(value, kind):
        raise BeamfleetError(f"{key} is missing or wrong; restore the artifact")
    return value


def _names(values: Mapping[str, Any], key: str) -> tuple[str, ...]:
    names = _get(values, key, list)
    if not all(isinstance(name, str) for name in names):
        raise BeamfleetError(f"{key} must be words; restore the artifact")
    return tuple(names)


def _stage(values: Any) -> DeclaredStage:
    return DeclaredStage(_get(values, "name", str), _names(values, "inputs"))


def _model(values: Mapping[str, Any], name: str) -> BundledModel:
    model = values["models"][name]
    return BundledModel(*(_get(model, key, str) for key in ("source", "revision", "sha256")))
