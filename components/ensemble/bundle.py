"""An ensemble with its weights as one Model artifact.

<uri>/ensemble.json        what it is made of; written last, so that it is whole or absent
<uri>/models/<name>/...    the files of each model: safetensors and settings, never code
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from components.ensemble.around import innermost
from components.ensemble.build import build_ensemble, declared_stages
from components.ensemble.bundle_cache import local_copy
from components.ensemble.bundle_files import (
    check_hash,
    copy_file,
    files_below,
    hash_file,
    remove_below,
)
from components.ensemble.changed_code import changes, warn_of_changes
from components.ensemble.declaration import (
    ENSEMBLE,
    BundledModel,
    Declaration,
    DeclaredStage,
    check_name,
)
from components.ensemble.graph import Ensemble
from components.ensemble.named import NamedHandler
from components.ensemble.weights import ModelSource, Weights, hash_of_files
from components.errors import BeamfleetError
from components.files import exists, open_file, write_json
from components.user_function import code_fingerprint, code_parts

__all__ = ["Bundle", "hparams_json", "write_bundle"]


class Bundle:
    """An ensemble that was written by `write_bundle`, on any Beam filesystem.

    Example:
        ensemble = Bundle("runs/captions/pushed/3").ensemble()

    Raises:
      BeamfleetError: it is not whole, something else, of another version, or was changed.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri.rstrip("/")
        self.declaration = _read(self.uri)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over files, code, hparams and stages: what the predictions depend on."""
        return self.declaration.fingerprint

    @property
    def inputs(self) -> tuple[str, ...]:
        """Columns that the source must have."""
        return self.declaration.inputs

    @property
    def stages(self) -> tuple[DeclaredStage, ...]:
        """The stages in the order in which they run; each name is a column of the result."""
        return self.declaration.stages

    @property
    def models(self) -> Mapping[str, BundledModel]:
        """Name -> where its weights came from."""
        return self.declaration.models

    @property
    def interface(self) -> dict[str, list[str]]:
        """What callers rely on: the columns that they give and those that they get."""
        return {"inputs": sorted(self.inputs), "stages": sorted(s.name for s in self.stages)}

    @property
    def interface_fingerprint(self) -> str:
        """SHA-256 over `interface`."""
        return hashlib.sha256(json.dumps(self.interface, sort_keys=True).encode()).hexdigest()

    @property
    def counts(self) -> dict[str, int]:
        """Of models, stages and files."""
        declared = self.declaration
        return {key: len(getattr(declared, key)) for key in ("models", "stages", "files")}

    def check(self) -> None:
        """Reads all files back.

        Raises:
          BeamfleetError: one is missing, was changed or was put there by somebody else.
        """
        there = {f"models/{name}" for name in files_below(f"{self.uri}/models")}
        for name in sorted(there ^ set(self.declaration.files)):
            state = "does not belong to it" if name in there else "is missing"
            raise BeamfleetError(f"{self.uri}/{name} {state}; restore the artifact")
        for name, sha256 in self.declaration.files.items():
            try:
                found = hash_file(f"{self.uri}/{name}")
            except OSError as error:
                raise BeamfleetError(f"{self.uri}/{name} cannot be read: {error}") from error
            check_hash(f"{self.uri}/{name}", found, sha256)

    def ensemble(self) -> Ensemble:
        """Builds the ensemble on its weights, which are checked, and copied here from afar.

        Results of a handler that names its folder have `BundledModel.name` as their model.

        Raises:
          BeamfleetError: see `check`; or the user's function fails, or builds something else than
            when the ensemble was written.
        """
        local = Bundle(local_copy(self.uri, self.declaration))
        local.check()
        declared = self.declaration
        folders = {name: f"{local.uri}/models/{name}" for name in declared.models}
        built = build_ensemble(declared.ensemble_fn, folders, declared.hparams)
        found = declared_stages(built)
        if (built.inputs, found) != (declared.inputs, declared.stages):
            raise BeamfleetError(
                f"{declared.ensemble_fn} builds the stages {_said(found)} now, but "
                f"{_said(declared.stages)} when {self.uri} was written; write the ensemble again"
            )
        if code_fingerprint(declared.ensemble_fn) != declared.code_fingerprint:
            now = code_parts(declared.ensemble_fn)
            warn_of_changes(self.uri, changes(declared.code, now))
        names = {folder: declared.models[name].name for name, folder in folders.items()}
        stages = (replace(s, handler=NamedHandler(s.handler, names)) for s in built.stages)
        return Ensemble(*stages, memory_mb=built.memory_mb)


def write_bundle(
    uri: str, ensemble_fn: str, models: Mapping[str, ModelSource], hparams: Mapping[str, Any]
) -> Bundle:
    """Writes an ensemble with its weights, on any Beam filesystem.

    Args:
      uri: Folder of the artifact; what a killed write left there is removed.
      ensemble_fn: Dotted path of `ensemble_fn(models, hparams) -> Ensemble`, which is called once
        to learn the stages: `models` has the folder of each model, and handlers load their weights
        in `load_model`, not when they are made.
      models: Name -> where its weights are.
      hparams: JSON values for `ensemble_fn`.

    Raises:
      BeamfleetError: there is an ensemble already, a source or the function fails, the files of
        a pinned source have changed, or a stage's handler says that they are not its model's.
    """
    if exists(f"{uri}/{ENSEMBLE}"):
        raise BeamfleetError(f"{uri} holds an ensemble already; write to a new folder")
    for name in models:
        check_name(name)
    hparams = json.loads(hparams_json(hparams))
    weights = {name: source.fetched() for name, source in models.items()}
    folders = {name: str(found.folder) for name, found in weights.items()}
    built = build_ensemble(ensemble_fn, folders, hparams)
    _check_files(built)
    remove_below(f"{uri}/models")
    files = {name: _copy(uri, name, weights[name]) for name in models}
    declaration = Declaration(
        ensemble_fn=ensemble_fn,
        code_fingerprint=code_fingerprint(ensemble_fn),
        code=code_parts(ensemble_fn),
        hparams=hparams,
        models={n: _bundled(n, models[n], weights[n].revision, files[n]) for n in models},
        inputs=built.inputs,
        stages=declared_stages(built),
        files={f"models/{n}/{file}": h for n in models for file, h in files[n].items()},
    )
    write_json(f"{uri}/{ENSEMBLE}", declaration.to_dict())
    return Bundle(uri)


def hparams_json(hparams: Mapping[str, Any]) -> str:
    """The hparams of an ensemble as JSON with sorted keys.

    Raises:
      BeamfleetError: they hold other values.
    """
    try:
        return json.dumps(dict(hparams), sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise BeamfleetError(f"hparams must hold JSON values only: {error}") from error


def _check_files(ensemble: Ensemble) -> None:
    """Handlers that have a `check_files` tell another model by its files, before it is copied."""
    for stage in ensemble.stages:
        check = getattr(innermost(stage.handler), "check_files", None)
        try:
            if check:
                check()
        except BeamfleetError as error:
            raise BeamfleetError(f"stage {stage.name!r}: {error}") from error


def _copy(uri: str, model: str, weights: Weights) -> dict[str, str]:
    target = f"{uri}/models/{model}"
    try:
        return {n: copy_file(str(weights.folder / n), f"{target}/{n}") for n in weights.files}
    except OSError as error:
        raise BeamfleetError(f"{weights.folder} cannot be copied to {target}: {error}") from error


def _bundled(
    name: str, source: ModelSource, revision: str, files: Mapping[str, str]
) -> BundledModel:
    sha256 = hash_of_files(files)
    if source.sha256 and source.sha256 != sha256:
        raise BeamfleetError(
            f"the files of model {name!r} in {source.source} changed while they were copied; run "
            "again"
        )
    return BundledModel(source.source, revision, sha256)


def _read(uri: str) -> Declaration:
    path = f"{uri}/{ENSEMBLE}"
    try:
        with open_file(path) as file:
            content = json.loads(file.read())
    except OSError as error:
        raise BeamfleetError(
            f"{uri} has no {ENSEMBLE}: not an ensemble, or its writing was stopped before it was "
            "whole; write it again"
        ) from error
    except (ValueError, RecursionError) as error:
        raise BeamfleetError(f"{path} is not JSON: {error}") from error
    try:
        return Declaration.from_dict(content)
    except BeamfleetError as error:
        raise BeamfleetError(f"{path}: {error}") from None


def _said(stages: tuple[DeclaredStage, ...]) -> str:
    return ", ".join(f"{stage.name}({', '.join(stage.inputs)})" for stage in stages)
