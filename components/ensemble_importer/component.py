"""EnsembleImporter: an ensemble and its weights, as one Model artifact."""

import json
from collections.abc import Mapping
from typing import Any

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import channel, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.ensemble.bundle import hparams_json
from components.ensemble.declaration import check_name
from components.ensemble.weights import ModelSource
from components.ensemble_importer.driver import Driver
from components.ensemble_importer.executor import Executor
from components.user_function import code_fingerprint


class EnsembleImporterSpec(ComponentSpec):
    """Output and parameters of EnsembleImporter."""

    PARAMETERS = {
        "ensemble_fn": ExecutionParameter(type=str),
        "code_fingerprint": ExecutionParameter(type=str),
        "models": ExecutionParameter(type=str),
        "hparams": ExecutionParameter(type=str),
    }
    INPUTS: dict[str, ChannelParameter] = {}
    OUTPUTS = {"model": ChannelParameter(type=standard_artifacts.Model)}


class EnsembleImporter(base_component.BaseComponent):
    """Writes an ensemble with the weights of its models (components.ensemble.bundle).

    The Model's custom properties are `fingerprint`, `inputs`, `stages` (names, with commas) and
    `models`, which says of each model where it came from and which commit or SHA-256 it is. What
    the folders and revisions hold is part of the cache key, and so is the code of `ensemble_fn`.

    Example:
        importer = EnsembleImporter(
            ensemble_fn="user_code.captions.ensemble_fn",
            models={"blip": "models/blip", "clip": "openai/clip-vit-large-patch14@<commit>"},
            hparams={"num_captions": 5},
        )
    """

    SPEC_CLASS = EnsembleImporterSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
    DRIVER_CLASS = Driver

    def __init__(
        self,
        ensemble_fn: str,
        models: Mapping[str, str],
        hparams: Mapping[str, Any] | None = None,
    ) -> None:
        """Makes the node.

        Args:
          ensemble_fn: Dotted path of `ensemble_fn(models, hparams) -> Ensemble`, where `models` has
            the local folder of each model's weights.
          models: Name -> folder, or name on the Hugging Face hub; see ModelSource.
          hparams: JSON values for `ensemble_fn`.

        Raises:
          BeamfleetError: the function cannot be found, a model is neither a folder nor a name on
            the hub, or the hparams are no JSON values.
        """
        for name, source in models.items():
            check_name(name)
            ModelSource.parse(source)
        spec = EnsembleImporterSpec(
            ensemble_fn=ensemble_fn,
            code_fingerprint=code_fingerprint(ensemble_fn),
            models=json.dumps(dict(models), sort_keys=True),
            hparams=hparams_json(hparams or {}),
            model=channel.Channel(type=standard_artifacts.Model),
        )
        super().__init__(spec=spec)
