"""Nodes from a blessed model to whoever uses it."""

from pipelines import steps
from pipelines.nodes.examples import unlabelled
from pipelines.nodes.graph import Graph


def infra_validate(graph: Graph, step: steps.InfraValidate) -> None:
    from components.infra_validator.component import InfraValidator

    node = InfraValidator(
        model=graph.channels["model"],
        examples=graph.channels["examples"],
        **step.limits,
    )
    graph.add(node, "InfraValidator", infra_blessing="blessing")


def push_to(graph: Graph, step: steps.PushTo) -> None:
    from components.pusher.component import Pusher

    node = Pusher(
        model=graph.channels["model"],
        push_destination=step.directory,
        keep_versions=step.keep,
        model_blessing=graph.channels.get("blessing"),
        infra_blessing=graph.channels.get("infra_blessing"),
        traffic=step.traffic,
        approval_root=step.approval_root,
    )
    graph.add(node, "Pusher", pushed_model="pushed_model")


def bulk_infer(graph: Graph, step: steps.BulkInfer) -> None:
    from components.bulk_inferrer.component import BulkInferrer

    node = BulkInferrer(
        examples=unlabelled(graph),
        model=graph.channels["model"],
        pushed_model=graph.channels.get("pushed_model"),
        push_destination=graph.push_directory,
        **step.options,
    )
    graph.add(node, "BulkInferrer")
