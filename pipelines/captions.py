"""Captions of images by BLIP, ranked by CLIP: an ensemble that is treated like any model."""

from pathlib import Path

from pipelines.checks import check_installed, check_pretrained
from pipelines.pipeline import Pipeline
from user_code.captions import HPARAMS, SLICES, THRESHOLDS

DATA = Path(__file__).resolve().parents[1] / "data"


def pipeline(
    root: Path | None = None,
    images: list[str] | None = None,
    blip: str | None = None,
    clip: str | None = None,
    allow_private: bool = False,
) -> Pipeline:
    """Wires the captions pipeline; without `images` it captions scenes that come with it."""
    check_installed("captions")
    models = {
        "blip": blip or DATA / "captions" / "blip",
        "clip": clip or DATA / "captions" / "clip",
    }
    check_pretrained(models, blip="BlipForConditionalGeneration", clip="CLIPModel")
    return (
        Pipeline("captions", root=root)
        .from_images(*(images or [str(DATA / "scenes")]), allow_private=allow_private)
        .generate_statistics()
        .infer_schema()
        .validate_examples(on_anomaly="warn")
        .with_ensemble("user_code.captions.ensemble_fn", models, HPARAMS)
        .infer_images({"captions": "rank"})
        .evaluate_captions(THRESHOLDS, SLICES)
        .report_captions()
        .infra_validate()
        .push_to()
        .cache()
    )
