"""The steps that make and evaluate models."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from components.entity_evaluator.config import EvaluationConfig
from components.entity_trainer.config import TrainConfig
from pipelines import checks, steps
from pipelines.builder.recorder import Recorder, given, several
from pipelines.pushed import is_pushed_directory, pushed_directory, version_path
from pipelines.sources import (
    PathLike,
    made,
)


class ModelSteps(Recorder):
    """The steps that make and evaluate models."""

    def preprocess(self, preprocessing_fn: str) -> Self:
        """Preprocesses the examples with TensorFlow Transform, for `train`.

        Args:
          preprocessing_fn: Dotted path of `preprocessing_fn(inputs) -> outputs`: tensors by column.
        """
        return self._record(steps.Preprocess(preprocessing_fn))

    def tune(self, tuner_fn: str, *, trials: int = 10) -> Self:
        """Looks for good hyperparameters with Keras Tuner; `train` is given the best.

        Args:
          tuner_fn: Dotted path of `tuner_fn(fn_args) -> TunerFnResult`, as in TFX; it finds the
            hparams of `train` and `trials` in `fn_args.custom_config`.
          trials: How many are tried.
        """
        return self._record(made(steps.Tune, tuner_fn=tuner_fn, trials=trials))

    def with_hyperparameters(self, path: PathLike | None = None) -> Self:
        """Trains with what an earlier `tune` has found.

        Args:
          path: Folder of its artifact, `<root>/artifacts/Tuner/best_hyperparameters/<number>`;
            default: the latest that a run of this pipeline has found; before the first, `train`
            goes by its own hparams.
        """
        return self._record(steps.WithHyperparameters(_absolute(path)))

    def with_model(self, path: PathLike | None = None) -> Self:
        """Takes models that are there instead of training: to validate, push or infer with them.

        Args:
          path: Folder of models, or a pushed directory, of which the current version is taken;
            default: the latest that a run of this pipeline has blessed.
        """
        return self._record(steps.WithModel(_version_at(path)))

    def train(
        self,
        run_fn: str,
        *,
        label: str,
        task: str | None = None,
        classes: Sequence[str] | Sequence[int] | None = None,
        hparams: Mapping[str, Any] | None = None,
        candidates: Mapping[str, Mapping[str, Any]] | None = None,
        warm_start: bool = False,
    ) -> Self:
        """Trains one model, a TensorFlow SavedModel, with TFX's Trainer; or several that compete.

        Args:
          run_fn: Dotted path of `run_fn(fn_args)`; see `components.saved_model.training`.
          label: The column to predict; after `preprocess` one of its outputs.
          task: "classification" (the default) or "regression".
          classes: In the order of the model's outputs; default: 0, 1, ... A label that the
            preprocessing makes a whole number is the place of the class among them.
          hparams: JSON values, in `fn_args.custom_config["hparams"]`.
          candidates: Name -> hparams of its own, which win over `hparams` and over the tuner's:
            `{"wide": {"units": 128}, "deep": {"layers": 4}}`. Each is trained; `evaluate` blesses
            the best by the first of its metrics that passes, and that is what is pushed.
          warm_start: Gives `run_fn` the current model in `fn_args.base_model`: the pushed one, or
            else the latest blessed one. The first run has none.
        """
        options = given(
            task=task, classes=classes, hparams=None if hparams is None else dict(hparams)
        )
        own = dict(candidates or {})
        train = made(
            steps.Train,
            run_fn=run_fn,
            label=label,
            options=options,
            candidates=own,
            warm_start=warm_start,
        )
        return self._record(train)

    def train_per_entity(
        self,
        train_fn: str,
        *,
        entity: str | Sequence[str],
        label: str,
        task: str = "classification",
        hparams: Mapping[str, Any] | None = None,
        min_rows: int | None = None,
        max_rows: int | None = None,
        max_failed_share: float | None = None,
        missing: str | None = None,
    ) -> Self:
        """Trains one model for every entity.

        Args:
          train_fn: Dotted path of `train_fn(examples, hparams[, parent]) -> model`.
          entity: The column, or columns, whose values tell the entities apart.
          label: The column to predict.
          task: "classification" or "regression".
          hparams: Passed to every call; JSON values.
          min_rows, max_rows, max_failed_share, missing: See EntityTrainer, which has the defaults.
        """
        options = given(
            min_rows=min_rows,
            max_rows=max_rows,
            max_failed_share=max_failed_share,
            missing=missing,
        )
        config = TrainConfig(
            train_fn,
            entity=several(entity) or (),
            label=label,
            task=task,
            hparams=dict(hparams or {}),
            **options,
        )
        return self._record(steps.TrainPerEntity(config))

    def evaluate(
        self,
        metrics: str | Sequence[str] | None = None,
        thresholds: Mapping[str, Mapping[str, float]] | None = None,
        slices: str | Sequence[str | Sequence[str]] | None = None,
        *,
        fairness: str | Sequence[str] | None = None,
        confidence: float | None = None,
        min_eval_rows: int | None = None,
        positive_label: str | None = None,
    ) -> Self:
        """Evaluates on the split `eval`; blesses entity by entity, or the best of the candidates.

        The arguments are those of `components.entity_evaluator.config.EvaluationConfig`; what is
        compared with is in docs/models.md.
        """
        options = given(
            metrics=several(metrics),
            thresholds=checks.thresholds(thresholds),
            slices=several(slices),
            fairness=several(fairness),
            confidence=confidence,
            min_eval_rows=min_eval_rows,
            positive_label=positive_label,
        )
        EvaluationConfig.from_dict(options)  # refuses nonsense
        return self._record(steps.Evaluate(options))


def _absolute(path: PathLike | None) -> str:
    return "" if path is None else str(Path(path).absolute())


def _version_at(path: PathLike | None) -> str:
    """The folder of models; of a pushed directory that of its current version."""
    folder = _absolute(path)
    if folder and is_pushed_directory(folder):
        return version_path(pushed_directory(folder), None)
    return folder
