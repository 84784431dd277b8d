"""Captions of images by BLIP, ranked by CLIP: an ensemble that is treated like any model."""

from collections.abc import Iterable
from pathlib import Path

from pipelines.checks import check_installed, check_pretrained
from pipelines.pipeline import Pipeline
from user_code.captions import HPARAMS, THRESHOLDS

DATA = Path(__file__).resolve().parents[1] / "data"
DRAWN_SCENES_ONLY = (
    "the two small models that come with Beamfleet know drawn scenes only; for photographs give "
    "--blip and --clip"
)


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
    places = images or [str(DATA / "scenes")]
    return (
        Pipeline("captions", root=root)
        .from_images(*places, allow_private=allow_private)
        .generate_statistics()
        .infer_schema()
        .validate_examples(on_anomaly="warn")
        .with_ensemble("user_code.captions.ensemble_fn", models, HPARAMS)
        .infer_images({"captions": "rank"})
        .evaluate_captions(THRESHOLDS)
        .report_captions(note=_note(models.values(), places))
        .infra_validate()
        .push_to()
        .cache()
    )


def _note(models: Iterable[str | Path], images: Iterable[str]) -> str:
    """Says so where the small models are given images that they cannot know."""
    small = all(Path(model).resolve().is_relative_to(DATA / "captions") for model in models)
    drawn = all(Path(image).resolve().is_relative_to(DATA / "scenes") for image in images)
    return DRAWN_SCENES_ONLY if small and not drawn else ""
