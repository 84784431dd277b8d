"""The fluent builder: a use case in about twenty lines, a plain TFX pipeline behind it.

    from pipelines.pipeline import Pipeline, from_csv

    fleet = (
        Pipeline("census")
        .from_csv("data/census")
        .generate_statistics()
        .infer_schema()
        .validate_examples(on_anomaly="stop")
        .train_per_entity("user_code.census.train_fn", entity="education", label="income")
        .evaluate(metrics=["accuracy"], slices=["sex"])
        .infra_validate(max_startup_s=5, max_p99_ms=200)
        .push_to("models/census")
        .bulk_infer(from_csv("data/census_unlabelled"))
        .cache()
    )
    fleet.build()  # a tfx.orchestration.pipeline.Pipeline

The methods only record what is wanted, in any order; `build` checks it and makes the TFX nodes
(`pipelines/nodes.py`). Steps for stock TFX components go the same way: a dataclass in `steps.py`,
a method in the section "Models" below, a row in `checks.py` and a function in `nodes.py`.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from components.bulk_inferrer.config import InferenceConfig
from components.caption_evaluator.config import CaptionEvaluationConfig
from components.entity_evaluator.config import EvaluationConfig
from components.entity_trainer.config import TrainConfig
from components.errors import BeamfleetError
from components.example_gen.source import CsvSource, ParquetSource, Source, TFRecordSource
from components.infra_validator.report import Gates
from pipelines import alerts, checks, steps
from pipelines.columns import check_columns
from pipelines.sources import (
    FETCH_LIMITS,
    CsvAndIngest,
    ImageOptions,
    PathLike,
    TypedAndIngest,
    absolute,
    from_csv,
    from_parquet,
    from_tfrecord,
    ingest_config,
    made,
    model_place,
)
from pipelines.steps import Step, method_name

if TYPE_CHECKING:
    from tfx.orchestration.pipeline import Pipeline as TfxPipeline

__all__ = ["Pipeline", "from_csv", "from_parquet", "from_tfrecord"]

_T = TypeVar("_T")
_Step = TypeVar("_Step", bound=Step)
LOCAL_BEAM = ("--runner=FnApiRunner",)
"""In process. Beam's `DirectRunner` would look for a Prism binary on the network first."""


class Pipeline:
    """Records the steps of a pipeline; each method returns the pipeline itself."""

    def __init__(self, name: str, root: PathLike | None = None) -> None:
        """Names the pipeline.

        Args:
          name: Letters, digits, '-' and '_', at most 63.
          root: Folder of everything that runs leave: metadata, artifacts, logs, pushed models.
            Default: `runs/<name>`.
        """
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", name):
            raise BeamfleetError(
                f"pipeline name {name!r}: expected at most 63 letters, digits, '-' and '_'"
            )
        self.name = name
        self.root = Path(root if root is not None else Path("runs", name)).absolute()
        self._beam_args: tuple[str, ...] = ()
        self._steps: dict[type[Step], Step] = {}

    # --- Examples ---

    def from_csv(self, *paths: PathLike, **options: Unpack[CsvAndIngest]) -> "Pipeline":
        """Reads CSV files, folders or patterns, and splits the rows.

        Args:
          paths: Rows to train on and, unless `eval_data` is given, to evaluate on.
          options: Those of CsvOptions, and
            clean: dotted path of `clean_fn(table: pa.Table) -> pa.Table`;
            max_rejected_share: share of unreadable rows that stops the run, default 0.01;
            splits: HashSplit (default: two thirds `train`, one third `eval`) or TimeSplit;
            eval_data: rows of the split `eval`, given apart.
        """
        return self._record(steps.ReadExamples(ingest_config(CsvSource, paths, options)))

    def from_parquet(self, *paths: PathLike, **options: Unpack[TypedAndIngest]) -> "Pipeline":
        """Reads Parquet files, folders or patterns; options as of `from_csv`."""
        return self._record(steps.ReadExamples(ingest_config(ParquetSource, paths, options)))

    def from_tfrecord(self, *paths: PathLike, **options: Unpack[TypedAndIngest]) -> "Pipeline":
        """Reads TFRecord files of tf.Example; options as of `from_csv`."""
        return self._record(steps.ReadExamples(ingest_config(TFRecordSource, paths, options)))

    def from_images(
        self, *images: PathLike, references: PathLike = "", **options: Unpack[ImageOptions]
    ) -> "Pipeline":
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

    def with_examples(self, component: Any) -> "Pipeline":
        """Takes the examples of another TFX component, such as a BigQueryExampleGen."""
        if "examples" not in getattr(component, "outputs", {}):
            raise BeamfleetError(
                f"with_examples() takes a TFX component with an output 'examples', got {component}"
            )
        return self._record(steps.GivenExamples(component))

    def generate_statistics(self) -> "Pipeline":
        """Computes statistics of every split."""
        return self._record(steps.GenerateStatistics())

    def infer_schema(self) -> "Pipeline":
        """Infers a schema from the statistics. A curated schema (`with_schema`) wins over it."""
        return self._record(steps.InferSchema())

    def with_schema(self, path: PathLike) -> "Pipeline":
        """Uses a curated schema: a text proto, `schema.pbtxt`."""
        return self._record(steps.WithSchema(str(Path(path).absolute())))

    def validate_examples(
        self,
        on_anomaly: str = "stop",
        *,
        drift: Mapping[str, float] | None = None,
        skew: Mapping[str, float] | None = None,
    ) -> "Pipeline":
        """Compares the statistics with the schema; anomalies `"stop"` the run or `"warn"`.

        Args:
          on_anomaly: "stop" or "warn".
          drift: Column -> largest distance of the newest span from the span before: of words the
            largest change of a word's share, of numbers the Jensen-Shannon divergence (0 to 1).
            The newest span is validated then, also where a window of several is read.
          skew: Column -> largest distance from the rows of `bulk_infer`.
        """
        return self._record(
            made(
                steps.ValidateExamples,
                on_anomaly=on_anomaly,
                drift=dict(drift or {}),
                skew=dict(skew or {}),
            )
        )

    # --- Models ---

    def preprocess(self, preprocessing_fn: str) -> "Pipeline":
        """Preprocesses the examples with TensorFlow Transform, for `train`.

        Args:
          preprocessing_fn: Dotted path of `preprocessing_fn(inputs) -> outputs`: tensors by column.
        """
        return self._record(steps.Preprocess(preprocessing_fn))

    def tune(self, tuner_fn: str, *, trials: int = 10) -> "Pipeline":
        """Looks for good hyperparameters with Keras Tuner; `train` is given the best.

        Args:
          tuner_fn: Dotted path of `tuner_fn(fn_args) -> TunerFnResult`, as in TFX; it finds the
            hparams of `train` and `trials` in `fn_args.custom_config`.
          trials: How many are tried.
        """
        return self._record(made(steps.Tune, tuner_fn=tuner_fn, trials=trials))

    def with_hyperparameters(self, path: PathLike) -> "Pipeline":
        """Trains with what an earlier `tune` has found.

        Args:
          path: Folder of its artifact, `<root>/artifacts/Tuner/best_hyperparameters/<number>`.
        """
        return self._record(steps.WithHyperparameters(str(Path(path).absolute())))

    def train(
        self,
        run_fn: str,
        *,
        label: str,
        task: str | None = None,
        classes: Sequence[str] | Sequence[int] | None = None,
        hparams: Mapping[str, Any] | None = None,
    ) -> "Pipeline":
        """Trains one model, a TensorFlow SavedModel, with TFX's Trainer.

        Args:
          run_fn: Dotted path of `run_fn(fn_args)`; see `components.saved_model.training`.
          label: The column to predict; after `preprocess` one of its outputs.
          task: "classification" (the default) or "regression".
          classes: In the order of the model's outputs; default: 0, 1, ...
          hparams: JSON values, in `fn_args.custom_config["hparams"]`.
        """
        options = _given(
            task=task, classes=classes, hparams=None if hparams is None else dict(hparams)
        )
        return self._record(steps.Train(run_fn, label, options))

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
    ) -> "Pipeline":
        """Trains one model for every entity.

        Args:
          train_fn: Dotted path of `train_fn(examples, hparams[, parent]) -> model`.
          entity: The column, or columns, whose values tell the entities apart.
          label: The column to predict.
          task: "classification" or "regression".
          hparams: Passed to every call; JSON values.
          min_rows, max_rows, max_failed_share, missing: See EntityTrainer, which has the defaults.
        """
        given = _given(
            min_rows=min_rows,
            max_rows=max_rows,
            max_failed_share=max_failed_share,
            missing=missing,
        )
        config = TrainConfig(
            train_fn,
            entity=_several(entity) or (),
            label=label,
            task=task,
            hparams=dict(hparams or {}),
            **given,
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
    ) -> "Pipeline":
        """Evaluates on the split `eval` and blesses entity by entity.

        The arguments are those of `components.entity_evaluator.config.EvaluationConfig`.
        """
        options = _given(
            metrics=_several(metrics),
            thresholds=checks.thresholds(thresholds),
            slices=_several(slices),
            fairness=_several(fairness),
            confidence=confidence,
            min_eval_rows=min_eval_rows,
            positive_label=positive_label,
        )
        EvaluationConfig.from_dict(options)  # refuses nonsense
        return self._record(steps.Evaluate(options))

    def with_ensemble(
        self,
        ensemble_fn: str,
        models: Mapping[str, PathLike],
        hparams: Mapping[str, Any] | None = None,
    ) -> "Pipeline":
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
    ) -> "Pipeline":
        """Runs the ensemble over all images, by Beam's RunInference.

        Args:
          columns: Result column -> stage whose predictions it holds.
          max_failed_share: Of the images; see EnsembleInferrer, which has the default.
        """
        options = _given(max_failed_share=max_failed_share)
        return self._record(steps.InferImages(dict(columns), options))

    def evaluate_captions(
        self,
        thresholds: Mapping[str, Mapping[str, float]] | None = None,
        slices: str | Sequence[str | Sequence[str]] | None = None,
        *,
        confidence: float | None = None,
    ) -> "Pipeline":
        """Compares the captions with the references, and blesses the ensemble or not.

        Without `slices` each column of the source counts that has at most 50 values. The arguments
        are those of `components.caption_evaluator.component.CaptionEvaluator`.
        """
        options = _given(
            thresholds=checks.thresholds(thresholds),
            slices=_several(slices),
            confidence=confidence,
        )
        CaptionEvaluationConfig.from_dict(options)  # refuses nonsense
        return self._record(steps.EvaluateCaptions(options))

    def report_captions(self, *, note: str = "") -> "Pipeline":
        """Writes a contact sheet of all images and captions: one HTML file for any browser.

        Args:
          note: What whoever looks at the captions should know; the sheet and the summary say it.
        """
        return self._record(steps.ReportCaptions(note))

    def infra_validate(
        self,
        max_startup_s: float | None = None,
        max_p99_ms: float | None = None,
        *,
        max_rss_mb: float | None = None,
        requests: int | None = None,
    ) -> "Pipeline":
        """Serves the models in a fresh process and measures it; see InfraValidator.

        What is None is as `components.infra_validator.report.Gates` says, for an ensemble as
        ENSEMBLE_GATES.

        Args:
          max_startup_s: Limit from the start of loading to ready, seconds.
          max_p99_ms: Limit of the 99th percentile of request times, milliseconds.
          max_rss_mb: Limit of the server's resident memory, 1,000,000 bytes; None for no limit.
          requests: How many requests to time.
        """
        limits = _given(
            max_startup_s=max_startup_s,
            max_p99_ms=max_p99_ms,
            max_rss_mb=max_rss_mb,
            requests=requests,
        )
        Gates(**limits)  # refuses nonsense
        return self._record(steps.InfraValidate(limits))

    def push_to(self, directory: PathLike | None = None, *, keep: int = 5) -> "Pipeline":
        """Pushes what was blessed as a numbered version; default directory: `<root>/pushed`."""
        target = directory if directory is not None else self.root / "pushed"
        where = str(target) if "://" in str(target) else str(Path(target).absolute())
        return self._record(made(steps.PushTo, directory=where, keep=keep))

    def bulk_infer(
        self,
        source: Source,
        *,
        clean: str = "",
        output_columns: str | Sequence[str] | None = None,
        private_columns: str | Sequence[str] | None = None,
        max_failed_share: float | None = None,
    ) -> "Pipeline":
        """Predicts unlabelled rows: `.bulk_infer(from_csv("data/new"))`.

        Args:
          source: Rows to predict.
          clean: Dotted path of `clean_fn(table: pa.Table) -> pa.Table`.
          output_columns, private_columns, max_failed_share: See
            `components.bulk_inferrer.config.InferenceConfig`, which has the defaults.
        """
        if not isinstance(source, Source):
            raise BeamfleetError(
                f"bulk_infer() takes a source such as from_csv(path), got {source!r}"
            )
        options = _given(
            output_columns=_several(output_columns),
            private_columns=_several(private_columns),
            max_failed_share=max_failed_share,
        )
        InferenceConfig(**options)  # refuses nonsense
        return self._record(steps.BulkInfer(source, clean, options))

    # --- Running ---

    def alert(self, webhook: str, on: str | Sequence[str] = alerts.EVENTS) -> "Pipeline":
        """Tells a chat (Slack, Mattermost, ...) what went wrong; that never breaks a run.

        Args:
          webhook: Where the address lies, which is a secret: "env:SLACK_WEBHOOK", or
            "file:/run/secrets/slack".
          on: Of "anomaly", "not_blessed", "infra_failed", "run_failed".
        """
        alerts.check_webhook(webhook)
        events = _several(on) or ()
        if unknown := sorted(set(events) - set(alerts.EVENTS)):
            raise BeamfleetError(
                f"unknown events {unknown}; choose from {', '.join(alerts.EVENTS)}"
            )
        return self._record(steps.Alert(webhook, events))

    def step(self, kind: type[_Step]) -> _Step | None:
        """What was recorded of a kind; None: nothing."""
        return next((step for step in self._steps.values() if isinstance(step, kind)), None)

    def cache(self) -> "Pipeline":
        """Lets a node whose inputs, code and parameters did not change reuse its outputs."""
        return self._record(steps.Cache())

    def with_beam_args(self, *arguments: str) -> "Pipeline":
        """Adds Beam pipeline arguments of every node, such as `--runner=FlinkRunner`."""
        self._beam_args = (*self._beam_args, *arguments)
        return self

    @property
    def beam_args(self) -> tuple[str, ...]:
        """Beam pipeline arguments of every node: in process unless another runner was named."""
        named = any(argument.startswith("--runner") for argument in self._beam_args)
        return self._beam_args if named else (*LOCAL_BEAM, *self._beam_args)

    def check(self) -> None:
        """Checks the wiring, the columns and the user's functions without importing TFX.

        Raises:
          BeamfleetError: says which step to add or what to change.
        """
        checks.check_inputs(self.name, self._steps)
        checks.check_splits(self.name, self._steps)
        checks.check_comparisons(self.name, self._steps)
        checks.check_paths(self.name, self._steps)
        check_columns(self.name, self._steps)
        checks.check_metrics(self._steps)
        checks.check_functions(self._steps)
        checks.payload(self._steps)

    def build(self) -> "TfxPipeline":
        """Makes the TFX pipeline: SQLite metadata and artifacts below the root.

        Raises:
          BeamfleetError: see `check`.
        """
        self.check()
        from pipelines import nodes  # imports TFX, 15 CPU seconds

        return nodes.build(self.name, self.root, self._steps, self.beam_args)

    def _record(self, step: Step) -> "Pipeline":
        kind = type(step)
        sources = (steps.ReadExamples, steps.ReadImages, steps.GivenExamples)
        if kind in self._steps:
            raise BeamfleetError(f"pipeline {self.name!r}: {method_name(kind)}() was called twice")
        if kind in sources and any(source in self._steps for source in sources):
            raise BeamfleetError(f"pipeline {self.name!r} has two sources of examples; keep one")
        self._steps[kind] = step
        return self


def _given(**options: Any) -> dict[str, Any]:
    """Those that were set: the component's own defaults stand for the others."""
    return {key: value for key, value in options.items() if value is not None}


def _several(names: str | Sequence[_T] | None) -> tuple[str | _T, ...] | None:
    """One name may stand for a list of one."""
    return (names,) if isinstance(names, str) else None if names is None else tuple(names)
