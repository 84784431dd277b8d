"""Records, while TFX runs a pipeline, what decides its cache: see `pipelines.plan`."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.plan import NodePlan

_CONTEXTS = ("pipeline", "pipeline_run", "node")


class Recording:
    """What TFX's driver hashed and registered, node by node."""

    def __init__(self) -> None:
        self._hashed: dict[str, dict[str, Any]] = {}
        self._nodes: dict[str, NodePlan] = {}

    def hashed(self, **arguments: Any) -> None:
        """Takes the arguments of `cache_utils.get_cache_context`."""
        node = arguments["pipeline_node"]
        self._hashed[node.node_info.id] = {
            "compiled": _compiled(**arguments),
            "outputs": {k: _empty(found) for k, found in arguments["output_artifacts"].items()},
            "parameters": {k: str(value) for k, value in arguments["parameters"].items()},
        }

    def prepared(self, node: Any, driver: Any, prepared: Any) -> None:
        """Takes what the driver of a node registered; one that cannot be told is left out."""
        name, execution = node.node_info.id, prepared.execution_metadata
        hashed = self._hashed.get(name)
        contexts = prepared.contexts[: len(_CONTEXTS)]
        if execution is None or hashed is None or not _is_plain(node, contexts):
            return
        registered = {*execution.properties, *execution.custom_properties, "beamfleet"}
        parameters = {k: v for k, v in hashed["parameters"].items() if k in registered}
        self._nodes[name] = NodePlan(
            name=name,
            compiled=hashed["compiled"],
            inputs={key: _source(spec) for key, spec in node.inputs.inputs.items()},
            outputs=hashed["outputs"],
            parameters=parameters,
            driver=driver.class_path if driver is not None else "",
            execution=_anonymous(execution),
            contexts=tuple(context.SerializeToString(deterministic=True) for context in contexts),
        )

    def plan(self, names: Sequence[str]) -> tuple[NodePlan, ...]:
        """The plan of these nodes, in the order in which they ran; () if one of them is missing."""
        return tuple(self._nodes.values()) if {*names} == self._nodes.keys() else ()


def _compiled(pipeline_info: Any, pipeline_node: Any, executor_spec: Any = None, **_: Any) -> bytes:
    parts = (pipeline_info, pipeline_node.node_info, *([executor_spec] if executor_spec else []))
    return b"".join(part.SerializeToString(deterministic=True) for part in parts)


def _empty(artifacts: Sequence[Any]) -> bytes:
    """As TFX hashes the artifacts that a node is going to write."""
    kept = []
    for artifact in artifacts:
        stateless = copy.deepcopy(artifact)
        stateless.uri = stateless.name = ""
        kept.append(stateless.mlmd_artifact.SerializeToString(deterministic=True))
    return b"".join(kept)


def _is_plain(node: Any, contexts: Sequence[Any]) -> bool:
    """Whether the node reads one artifact a key, each of a node of the same run, and always runs.

    The rest is left to TFX: resolvers, conditions, values of other nodes, module files.
    """
    parameters: Mapping[str, Any] = node.parameters.parameters
    return (
        node.execution_options.caching_options.enable_cache
        and not node.inputs.conditionals
        and not node.inputs.input_graphs
        and not any(value.HasField("placeholder") for value in parameters.values())
        and "module_file" not in parameters
        and [spec.type.name for spec in node.contexts.contexts] == list(_CONTEXTS)
        and len(contexts) == len(_CONTEXTS)
        and all(_is_of_this_run(spec, contexts) for spec in node.inputs.inputs.values())
    )


def _is_of_this_run(spec: Any, contexts: Sequence[Any]) -> bool:
    if len(spec.channels) != 1 or spec.hidden:
        return False
    [channel] = spec.channels
    asked = {
        query.type.name: query.name.field_value.string_value for query in channel.context_queries
    }
    pipeline, run, _ = (context.name for context in contexts)
    producer = f"{pipeline}.{channel.producer_node_query.id}"
    return asked == dict(zip(_CONTEXTS, (pipeline, run, producer), strict=True))


def _source(spec: Any) -> tuple[str, str]:
    [channel] = spec.channels
    return str(channel.producer_node_query.id), str(channel.output_key)


def _anonymous(execution: Any) -> bytes:
    kept = copy.deepcopy(execution)
    for field in ("id", "name", "last_known_state", "create_time_since_epoch"):
        kept.ClearField(field)
    kept.ClearField("last_update_time_since_epoch")
    return bytes(kept.SerializeToString(deterministic=True))
