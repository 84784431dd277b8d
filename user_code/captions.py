"""Captions of images: BLIP writes five, CLIP puts them in order."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from components.ensemble.graph import Ensemble

HPARAMS: Mapping[str, Any] = {"num_captions": 5, "max_length": 30, "batch_size": 32}
"""Captions of an image, tokens of a caption, images of a pass; see BlipCaptioner."""

THRESHOLDS: Mapping[str, Mapping[str, float]] = {
    "exact_match": {"min": 0.85, "max_drop": 0.02},
    "coverage": {"min": 0.95},
}
"""What the ensemble must reach on images with reference captions to be pushed. Free captions of
photographs are hardly ever word for word those of the references: there name bleu or clip_score."""


def ensemble_fn(models: Mapping[str, str], hparams: Mapping[str, Any]) -> "Ensemble":
    """The stages; `models` has the folder of each model."""
    from components.captioning.blip import BlipCaptioner
    from components.captioning.clip import ClipRanker
    from components.ensemble.graph import Ensemble, Stage

    return Ensemble(
        Stage("caption", BlipCaptioner(models["blip"], **hparams), inputs="image"),
        Stage("rank", ClipRanker(models["clip"]), inputs=("image", "caption")),
    )
