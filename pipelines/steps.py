"""What the builder's methods record: one frozen dataclass a step, free of TFX.

`payloads` of a step that reads the examples says what it can read: Parquet, tf.Example or both.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from components.entity_trainer.config import TrainConfig
from components.example_gen.source import PAYLOADS, IngestConfig, Source
from components.example_validator.expressions import Checks
from components.feature_example_gen.config import FeatureExamplesConfig
from components.pusher.traffic import TrafficPlan


@dataclass(frozen=True)
class ReadExamples:
    """`from_csv`, `from_parquet`, `from_tfrecord`."""

    config: IngestConfig


@dataclass(frozen=True)
class ReadImages:
    """`from_images`."""

    images: tuple[str, ...]
    references: str = ""
    limits: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Of FetchLimits, those that were set."""
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """max_pixels, max_rejected_share: those that were set."""


@dataclass(frozen=True)
class GivenExamples:
    """`with_examples`."""

    component: Any
    """A TFX component whose output `examples` is an Examples channel."""


@dataclass(frozen=True)
class FromFeatureView:
    """`from_feature_view`."""

    config: FeatureExamplesConfig
    store: str
    """Folder of the store of features."""


@dataclass(frozen=True)
class StreamFeatures:
    """`stream_features`."""

    until: str
    """Where the streams end, ISO 8601."""


@dataclass(frozen=True)
class PredictOnline:
    """`predict_online`."""

    requests: str
    """Parquet file or folder."""


@dataclass(frozen=True)
class GenerateStatistics:
    """`generate_statistics`."""

    payloads: ClassVar[tuple[str, ...]] = PAYLOADS


@dataclass(frozen=True)
class InferSchema:
    """`infer_schema`."""


@dataclass(frozen=True)
class WithSchema:
    """`with_schema`."""

    path: str
    """Schema text proto."""


@dataclass(frozen=True)
class ValidateExamples:
    """`validate_examples`."""

    on_anomaly: str = "stop"
    drift: Mapping[str, float] = field(default_factory=dict, hash=False)
    """Column -> largest distance from the span before."""
    skew: Mapping[str, float] = field(default_factory=dict, hash=False)
    """Column -> largest distance from the rows of `bulk_infer`."""
    checks: Checks = field(default_factory=Checks)
    """SQL expressions that have to be true."""

    def __post_init__(self) -> None:
        if self.on_anomaly not in ("stop", "warn"):
            raise ValueError(f'on_anomaly must be "stop" or "warn", got {self.on_anomaly!r}')


@dataclass(frozen=True)
class TrainPerEntity:
    """`train_per_entity`."""

    payloads: ClassVar[tuple[str, ...]] = PAYLOADS
    config: TrainConfig


@dataclass(frozen=True)
class Preprocess:
    """`preprocess`."""

    payloads: ClassVar[tuple[str, ...]] = PAYLOADS
    preprocessing_fn: str


@dataclass(frozen=True)
class Tune:
    """`tune`."""

    tuner_fn: str
    trials: int

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise ValueError(f"trials must be >= 1, got {self.trials}")


@dataclass(frozen=True)
class WithHyperparameters:
    """`with_hyperparameters`."""

    path: str
    """Folder of a HyperParameters artifact; empty: the latest one."""


@dataclass(frozen=True)
class WithModel:
    """`with_model`."""

    path: str
    """Folder of models; empty: the latest blessed ones."""


@dataclass(frozen=True)
class Train:
    """`train`."""

    run_fn: str
    label: str
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """task, classes, hparams, steps: those that were set."""
    candidates: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, hash=False)
    """Name -> hparams of its own; empty: there is one model, without a name."""
    warm_start: bool = False

    def __post_init__(self) -> None:
        if len(self.candidates) == 1:
            raise ValueError(
                f"candidates has {next(iter(self.candidates))!r} only: name two or more that "
                "compete, or leave it out"
            )
        for name, hparams in self.candidates.items():
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]{0,30}", name):
                raise ValueError(f"candidate {name!r}: expected at most 31 letters, digits and '-'")
            if not isinstance(hparams, Mapping):
                raise ValueError(
                    f"candidate {name!r} is {hparams!r}, expected hparams of its own, such as "
                    '{"units": 64}, or {} for those of all'
                )


@dataclass(frozen=True)
class Evaluate:
    """`evaluate`."""

    payloads: ClassVar[tuple[str, ...]] = PAYLOADS

    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """metrics, thresholds, slices, fairness, confidence, min_eval_rows: those that were set."""


@dataclass(frozen=True)
class WithEnsemble:
    """`with_ensemble`."""

    ensemble_fn: str
    models: Mapping[str, str] = field(hash=False)
    hparams: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class InferImages:
    """`infer_images`."""

    payloads: ClassVar[tuple[str, ...]] = ("parquet",)

    columns: Mapping[str, str] = field(hash=False)
    """Result column -> stage."""
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """max_failed_share, if it was set."""


@dataclass(frozen=True)
class EvaluateCaptions:
    """`evaluate_captions`."""

    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """thresholds, slices, confidence: those that were set."""


@dataclass(frozen=True)
class ReportCaptions:
    """`report_captions`."""

    note: str = ""
    """What whoever looks at the captions should know."""


@dataclass(frozen=True)
class InfraValidate:
    """`infra_validate`."""

    payloads: ClassVar[tuple[str, ...]] = ("parquet",)
    limits: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Of Gates, those that were set."""


@dataclass(frozen=True)
class PushTo:
    """`push_to`."""

    directory: str
    keep: int = 5
    """Versions that stay on disk."""
    traffic: TrafficPlan | None = None
    """What the new version gets beside the current one; None: everything."""
    approval_root: str = ""
    """Root of runs, if a person approves each push; "" if not."""

    def __post_init__(self) -> None:
        if self.keep < 1:
            raise ValueError(f"keep must be >= 1, got {self.keep}")


@dataclass(frozen=True)
class BulkInfer:
    """`bulk_infer`."""

    source: Source
    clean: str = ""
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """output_columns, private_columns, max_failed_share: those that were set."""


@dataclass(frozen=True)
class Alert:
    """`alert`."""

    webhook: str
    """Where the address lies: `env:NAME` or `file:PATH`."""
    on: tuple[str, ...]


@dataclass(frozen=True)
class OnExit:
    """`on_exit`."""

    function: str
    """Dotted path of `exit_fn(outcome: RunOutcome)`."""


@dataclass(frozen=True)
class Cache:
    """`cache`."""


Step = (
    ReadExamples
    | ReadImages
    | GivenExamples
    | FromFeatureView
    | StreamFeatures
    | PredictOnline
    | GenerateStatistics
    | InferSchema
    | WithSchema
    | ValidateExamples
    | TrainPerEntity
    | Preprocess
    | Tune
    | WithHyperparameters
    | WithModel
    | OnExit
    | Train
    | Evaluate
    | WithEnsemble
    | InferImages
    | EvaluateCaptions
    | ReportCaptions
    | InfraValidate
    | PushTo
    | BulkInfer
    | Alert
    | Cache
)


def method_name(kind: type[Step]) -> str:
    """The builder's method that records such a step: BulkInfer is `bulk_infer`."""
    named = {ReadExamples: "from_csv", ReadImages: "from_images"}
    if kind in named:
        return named[kind]
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()
