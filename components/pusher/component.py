"""Pusher: a blessed model becomes the next version of a pushed directory."""

import json

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import channel, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.types.system_executions import Deploy

from components.pusher.driver import Driver
from components.pusher.executor import Executor
from components.pusher.traffic import TrafficPlan


class PusherSpec(ComponentSpec):
    """Inputs, outputs and parameters of the Pusher."""

    PARAMETERS = {
        "push_destination": ExecutionParameter(type=str),
        "keep_versions": ExecutionParameter(type=int),
        "traffic": ExecutionParameter(type=str),
        "approval_root": ExecutionParameter(type=str),
    }
    INPUTS = {
        "model": ChannelParameter(type=standard_artifacts.Model),
        "model_blessing": ChannelParameter(type=standard_artifacts.ModelBlessing, optional=True),
        "infra_blessing": ChannelParameter(type=standard_artifacts.InfraBlessing, optional=True),
    }
    OUTPUTS = {"pushed_model": ChannelParameter(type=standard_artifacts.PushedModel)}
    TYPE_ANNOTATION = Deploy


class Pusher(base_component.BaseComponent):
    """Pushes entity models or an ensemble where every given blessing is positive.

    The stock Pusher copies a SavedModel to a folder named after the time; this one keeps numbered
    versions with a pointer, so that readers see a whole version and a rollback is one rename. The
    PushedModel holds no copy: pushed.json says {destination, version, pushed, reason}, the same as
    the custom properties pushed (0 or 1), version, pushed_destination, pushed_version and reason.
    `label` says whether it became the champion or a challenger. Where a person has to approve the
    push, `approval` is waits, approved or rejected, and `approval_request` says what waits.

    The model's custom properties `candidate_uri` and `baseline_version`, which EntityEvaluator
    sets on a composed model, say what it was composed from and over.

    Example:
        pusher = Pusher(
            model=evaluator.outputs["composed_model"],
            model_blessing=evaluator.outputs["blessing"],
            infra_blessing=infra_validator.outputs["blessing"],
            push_destination="/models/census",
        )
    """

    SPEC_CLASS = PusherSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
    DRIVER_CLASS = Driver

    def __init__(
        self,
        model: channel.BaseChannel,
        push_destination: str,
        keep_versions: int = 5,
        model_blessing: channel.BaseChannel | None = None,
        infra_blessing: channel.BaseChannel | None = None,
        traffic: TrafficPlan | None = None,
        approval_root: str = "",
    ) -> None:
        """Makes the node.

        Args:
          model: Model, entity models as EntityEvaluator composes them, or an ensemble as
            EnsembleImporter writes it.
          push_destination: Local folder (or mounted volume) of the versions.
          keep_versions: How many of the newest versions stay; the current one and the one before
            it stay in any case.
          model_blessing: ModelBlessing; without it the model counts as blessed.
          infra_blessing: InfraBlessing; likewise.
          traffic: Makes the new version a challenger of the current one.
          approval_root: Nothing is pushed until `beamfleet approve RUN --root <this>`; "" pushes
            at once.
        """
        spec = PusherSpec(
            model=model,
            model_blessing=model_blessing,
            infra_blessing=infra_blessing,
            push_destination=push_destination,
            keep_versions=keep_versions,
            traffic=json.dumps(traffic.to_dict(), sort_keys=True) if traffic else "",
            approval_root=approval_root,
            pushed_model=channel.Channel(type=standard_artifacts.PushedModel),
        )
        super().__init__(spec=spec)
