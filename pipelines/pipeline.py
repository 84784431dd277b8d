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
(`pipelines/nodes`). Steps for stock TFX components go the same way: a dataclass in `steps.py`, a
method in `pipelines/builder`, a row in `checks.py` and a function in `pipelines/nodes`.
"""

from typing import TYPE_CHECKING, Self

from pipelines import checks, steps
from pipelines.builder.captions import CaptionSteps
from pipelines.builder.delivery import DeliverySteps
from pipelines.builder.examples import ExamplesSteps
from pipelines.builder.features import FeatureSteps
from pipelines.builder.models import ModelSteps
from pipelines.columns import check_columns
from pipelines.conditions import check_conditions
from pipelines.features import check_features
from pipelines.sources import PathLike, from_csv, from_parquet, from_tfrecord
from pipelines.training import check_training

if TYPE_CHECKING:
    from tfx.orchestration.pipeline import Pipeline as TfxPipeline

__all__ = ["Pipeline", "from_csv", "from_parquet", "from_tfrecord"]

LOCAL_BEAM = ("--runner=FnApiRunner",)
"""In process. Beam's `DirectRunner` would look for a Prism binary on the network first."""


class Pipeline(ExamplesSteps, FeatureSteps, ModelSteps, CaptionSteps, DeliverySteps):
    """Records the steps of a pipeline; each method returns the pipeline itself."""

    def __init__(self, name: str, root: PathLike | None = None) -> None:
        """Names the pipeline.

        Args:
          name: Letters, digits, '-' and '_', at most 63.
          root: Folder of everything that runs leave: metadata, artifacts, logs, pushed models.
            Default: `runs/<name>`.
        """
        super().__init__(name, root)
        self._beam_args: tuple[str, ...] = ()

    def cache(self) -> Self:
        """Lets a node whose inputs, code and parameters did not change reuse its outputs."""
        return self._record(steps.Cache())

    def with_beam_args(self, *arguments: str) -> Self:
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
        checks.check_traffic(self.name, self._steps)
        checks.check_paths(self.name, self._steps)
        check_features(self.name, self._steps)
        check_columns(self.name, self._steps)
        checks.check_metrics(self._steps)
        check_training(self.name, self._steps)
        checks.check_functions(self._steps)
        check_conditions(self.name, self._steps, self._conditions)
        checks.payload(self._steps)

    def build(self) -> "TfxPipeline":
        """Makes the TFX pipeline: SQLite metadata and artifacts below the root.

        Raises:
          BeamfleetError: see `check`.
        """
        self.check()
        from pipelines import nodes  # imports TFX, 15 CPU seconds

        return nodes.build(self.name, self.root, self._steps, self.beam_args, self._conditions)
