"""Calls the user's function that builds an ensemble."""

from collections.abc import Mapping
from typing import Any

from components.ensemble.declaration import DeclaredStage
from components.ensemble.graph import Ensemble
from components.errors import BeamfleetError
from components.user_function import described, load_function


def build_ensemble(
    ensemble_fn: str, models: Mapping[str, str], hparams: Mapping[str, Any]
) -> Ensemble:
    """Gives `ensemble_fn(models, hparams)`; `models` has the folder of each model's weights.

    Raises:
      BeamfleetError: it cannot be found, fails, or builds something else.
    """
    function = load_function(ensemble_fn)
    try:
        built = function(dict(models), dict(hparams))
    except BeamfleetError as error:
        raise BeamfleetError(f"{ensemble_fn}: {error}") from error
    except Exception as error:
        given = f"models: {', '.join(models)}; hparams: {', '.join(hparams)}"
        raise BeamfleetError(f"{ensemble_fn} failed: {described(error)} ({given})") from error
    if not isinstance(built, Ensemble):
        raise BeamfleetError(
            f"{ensemble_fn} gave a {type(built).__name__}, expected an "
            "components.ensemble.graph.Ensemble"
        )
    return built


def declared_stages(ensemble: Ensemble) -> tuple[DeclaredStage, ...]:
    """The stages of an ensemble without their handlers."""
    return tuple(DeclaredStage(stage.name, stage.columns) for stage in ensemble.stages)
