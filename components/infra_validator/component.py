"""InfraValidator: is the composed model served well by the real server?"""

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import channel, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.types.system_executions import Evaluate

from components.infra_validator.executor import Executor
from components.infra_validator.report import Gates


class InfraValidatorSpec(ComponentSpec):
    """Inputs, outputs and parameters of the InfraValidator."""

    PARAMETERS = {
        "max_startup_s": ExecutionParameter(type=float),
        "max_p99_ms": ExecutionParameter(type=float),
        "max_rss_mb": ExecutionParameter(type=float, optional=True),
        "requests": ExecutionParameter(type=int),
        "split": ExecutionParameter(type=str),
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
        max_startup_s: float = Gates.max_startup_s,
        max_p99_ms: float = Gates.max_p99_ms,
        max_rss_mb: float | None = None,
        requests: int = Gates.requests,
        split: str = "eval",
    ) -> None:
        """Makes the node.

        Args:
          model: Model, an entity-models store.
          examples: Examples, Parquet.
          max_startup_s: Seconds from loading to readiness; imports do not count.
          max_p99_ms: Milliseconds that 99 of 100 requests may take.
          max_rss_mb: Resident memory in MB after all requests; None for no limit.
          requests: How many requests of one row to send.
          split: The split whose rows are sent.

        Raises:
          BeamfleetError: a limit is not above 0.
        """
        Gates(max_startup_s, max_p99_ms, max_rss_mb, requests)  # refuses nonsense before the run
        spec = InfraValidatorSpec(
            model=model,
            examples=examples,
            max_startup_s=float(max_startup_s),
            max_p99_ms=float(max_p99_ms),
            max_rss_mb=None if max_rss_mb is None else float(max_rss_mb),
            requests=requests,
            split=split,
            blessing=channel.Channel(type=standard_artifacts.InfraBlessing),
        )
        super().__init__(spec=spec)
