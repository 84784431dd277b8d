"""The steps of several models in one: images, captions, their report."""

from collections.abc import Mapping, Sequence
from typing import Any, Self, Unpack

from components.caption_evaluator.config import CaptionEvaluationConfig
from components.errors import BeamfleetError
from pipelines import checks, steps
from pipelines.builder.recorder import Recorder, given, several
from pipelines.sources import (
    FETCH_LIMITS,
    ImageOptions,
    PathLike,
    absolute,
    model_place,
)


class CaptionSteps(Recorder):
    """The steps of several models in one: images, captions, their report."""

    def from_images(
        self, *images: PathLike, references: PathLike = "", **options: Unpack[ImageOptions]
    ) -> Self:
        """Reads images: folders, patterns, lists, TFRecord files, image files, web addresses.

        Paths and addresses of stores (gs://, s3://) that a list names are read with the rights and
        credentials of whoever runs the pipeline: look into the lists of others before.

        Args:
          images: Places; a .txt file lists one path or address a line.
          references: CSV with the columns file and caption, and others to slice by; default:
            captions.csv in a folder of `images`.
          options: max_bytes, timeout_s, max_redirects, allow_private (see FetchLimits),
            max_pixels, max_rejected_share (see ImageExampleGen).
        """
        if not images:
            raise BeamfleetError("from_images() needs a folder, pattern, list or address")
        given = absolute([references])[0] if references else ""
        limits = {name: value for name, value in options.items() if name in FETCH_LIMITS}
        others = {name: value for name, value in options.items() if name not in FETCH_LIMITS}
        return self._record(steps.ReadImages(absolute(images), given, limits, others))

    def with_ensemble(
        self,
        ensemble_fn: str,
        models: Mapping[str, PathLike],
        hparams: Mapping[str, Any] | None = None,
    ) -> Self:
        """Takes several models as one, to be evaluated, served and pushed like any model.

        Args:
          ensemble_fn: Dotted path of `ensemble_fn(models, hparams) -> Ensemble`; it is
            given the folder of each model.
          models: Name -> folder, or name on a hub (`owner/name@revision`).
          hparams: Passed on; JSON values.
        """
        where = {name: model_place(place) for name, place in models.items()}
        return self._record(steps.WithEnsemble(ensemble_fn, where, dict(hparams or {})))

    def infer_images(
        self, columns: Mapping[str, str], *, max_failed_share: float | None = None
    ) -> Self:
        """Runs the ensemble over all images, by Beam's RunInference.

        Args:
          columns: Result column -> stage whose predictions it holds.
          max_failed_share: Of the images; see EnsembleInferrer, which has the default.
        """
        options = given(max_failed_share=max_failed_share)
        return self._record(steps.InferImages(dict(columns), options))

    def evaluate_captions(
        self,
        thresholds: Mapping[str, Mapping[str, float]] | None = None,
        slices: str | Sequence[str | Sequence[str]] | None = None,
        *,
        confidence: float | None = None,
    ) -> Self:
        """Compares the captions with the references, and blesses the ensemble or not.

        Without `slices` each column of the source counts that has at most 50 values. The arguments
        are those of `components.caption_evaluator.component.CaptionEvaluator`.
        """
        options = given(
            thresholds=checks.thresholds(thresholds),
            slices=several(slices),
            confidence=confidence,
        )
        CaptionEvaluationConfig.from_dict(options)  # refuses nonsense
        return self._record(steps.EvaluateCaptions(options))

    def report_captions(self, *, note: str = "") -> Self:
        """Writes a contact sheet of all images and captions: one HTML file for any browser.

        Args:
          note: What whoever looks at the captions should know; the sheet and the summary say it.
        """
        return self._record(steps.ReportCaptions(note))
