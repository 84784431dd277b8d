"""Tells the registry of a feature store which models read its views."""

import logging
from pathlib import Path

from components.errors import BeamfleetError
from components.feature_registry import Registry
from components.feature_vectors.trained_with import TrainedWith, trained_with

LOG = logging.getLogger("beamfleet.features")


def link_trained(text: str, split: int, model: str, run: str) -> None:
    """A model was trained.

    Args:
      text: Of its spec: which service it was trained with; "" links nothing.
      split: Number of the training set.
      model: Where it lies.
      run: Of the pipeline; may be "".

    Raises:
      BeamfleetError: the registry is not there, or does not know the service.
    """
    if text:
        trained = trained_with(text)
        registry(trained).link_training(trained.service, trained.version, split, model, run)


def link_pushed(text: str, trained_models: list[str], pushed: str) -> None:
    """A version of models was pushed: it learnt from what these trained models learnt from.

    What was pushed is pushed, so that a registry that does not answer is a warning.
    """
    if not text:
        return
    trained = trained_with(text)
    try:
        known = registry(trained)
        for one in known.trainings(trained.service):
            if one.model in trained_models:
                known.link_training(one.service, one.version, one.split_version, pushed, one.run)
    except BeamfleetError as error:
        LOG.warning("%s is not in the registry of features: %s", pushed, error)


def registry(trained: TrainedWith) -> Registry:
    """That of the store that a model was trained with.

    Raises:
      BeamfleetError: there is none.
    """
    path = Path(trained.store, "registry.db")
    if not path.is_file():
        raise BeamfleetError(f"there is no registry of features at {path}")
    return Registry(path)
