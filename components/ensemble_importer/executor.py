"""Executor of EnsembleImporter."""

import json
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor

from components.ensemble.bundle import Bundle, write_bundle
from components.ensemble.declaration import BundledModel
from components.ensemble.weights import ModelSource


class Executor(base_executor.BaseExecutor):
    """Translates sources of weights into a Model that is an ensemble."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        [model] = output_dict["model"]
        sources = json.loads(exec_properties["sources"])
        bundle = write_bundle(
            model.uri,
            exec_properties["ensemble_fn"],
            {name: ModelSource(**source) for name, source in sources.items()},
            json.loads(exec_properties["hparams"]),
        )
        _record(bundle, model)


def _record(bundle: Bundle, model: types.Artifact) -> None:
    models = (f"{name}: {_origin(origin)}" for name, origin in bundle.models.items())
    model.set_string_custom_property("fingerprint", bundle.fingerprint)
    model.set_string_custom_property("inputs", ", ".join(bundle.inputs))
    model.set_string_custom_property("stages", ", ".join(stage.name for stage in bundle.stages))
    model.set_string_custom_property("models", "; ".join(models))


def _origin(model: BundledModel) -> str:
    if model.revision:
        return f"{model.source}@{model.revision}"
    return f"{model.source} (SHA-256 {model.sha256})"
