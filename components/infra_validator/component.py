"""InfraValidator: is the model served well by the real server?"""

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import channel, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.types.system_executions import Evaluate

from components.infra_validator.executor import Executor
from components.infra_validator.report import Gates, with_limits


class InfraValidatorSpec(ComponentSpec):
    """Inputs, outputs and parameters of the InfraValidator."""

    PARAMETERS = {
        "max_startup_s": ExecutionParameter(type=float, optional=True),
        "max_p99_ms": ExecutionParameter(type=float, optional=True),
        "max_rss_mb": ExecutionParameter(type=float, optional=True),
        "requests": ExecutionParameter(type=int, optional=True),
        "split": ExecutionParameter(type=str, optional=True),
    }
    INPUTS = {
        "model": ChannelParameter(type=standard_artifacts.Model),
        "examples": ChannelParameter(type=standard_artifacts.Examples),
    }
    OUTPUTS = {"blessing": ChannelParameter(type=standard_artifacts.InfraBlessing)}
    TYPE_ANNOTATION = Evaluate


class InfraValidator(base_component.BaseComponent):
    """Starts the real server in a fresh process, asks it, abuses it, and blesses it or not.

    The stock InfraValidator needs a Docker daemon or Kubernetes. This one needs neither: it runs
    `python -m components.model_server` on a free port of the loopback, measures start-up, latency
    and memory, compares each answer with the same models outside the server, and sends malformed
    requests, each of which must get a 4xx and leave the server ready.

    The InfraBlessing holds INFRA_BLESSED or INFRA_NOT_BLESSED and report.json. Its custom
    properties: blessed (1 or 0), startup_s, import_s, p50_ms, p99_ms, rss_mb, and reason.

    Example:
        infra_validator = InfraValidator(
            model=evaluator.outputs["composed_model"],
            examples=example_gen.outputs["examples"],
            max_p99_ms=50,
        )
    """

    SPEC_CLASS = InfraValidatorSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        model: channel.BaseChannel,
        examples: channel.BaseChannel,
        max_startup_s: float | None = None,
        max_p99_ms: float | None = None,
        max_rss_mb: float | None = None,
        requests: int | None = None,
        split: str | None = None,
    ) -> None:
        """Makes the node. What is None is as `Gates` says, for an ensemble as `ENSEMBLE_GATES`.

        Args:
          model: Model, an entity-models store or an ensemble.
          examples: Examples, Parquet; for an ensemble with its inputs as columns, images as files.
          max_startup_s: Seconds from loading to readiness; imports do not count.
          max_p99_ms: Milliseconds that 99 of 100 requests may take.
          max_rss_mb: Resident memory in MB after all requests; None for no limit.
          requests: How many requests of one row to send.
          split: The split whose rows are sent; None is `eval`, or the only one.

        Raises:
          BeamfleetError: a limit is not above 0.
        """
        limits = {
            "max_startup_s": None if max_startup_s is None else float(max_startup_s),
            "max_p99_ms": None if max_p99_ms is None else float(max_p99_ms),
            "max_rss_mb": None if max_rss_mb is None else float(max_rss_mb),
            "requests": requests,
        }
        with_limits(Gates(), limits)  # refuses nonsense before the run
        spec = InfraValidatorSpec(
            model=model,
            examples=examples,
            **limits,
            split=split,
            blessing=channel.Channel(type=standard_artifacts.InfraBlessing),
        )
        super().__init__(spec=spec)
