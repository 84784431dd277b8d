"""Finds out in a second that a run would be served from the cache, and registers it as TFX does.

The question is TFX's own, asked in the same way: each node's key is made of its plan, of the
artifacts that it would read and of what its driver would see now; the newest successful execution
under that key whose artifacts are LIVE and exist is what TFX would reuse. One node without such an
execution, or anything that cannot be told, and the run goes the normal way.
"""

import hashlib
import importlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.errors import BeamfleetError
from components.files import exists
from components.outside import Given
from pipelines import plan
from pipelines.events import CACHED, STARTED, NodeEvent, Observer
from pipelines.metadata_store import DATABASE, opened
from pipelines.plan import NodePlan

_DRIVER = ".driver.Driver"
Outputs = Mapping[str, Any]
"""Key -> ML Metadata's Artifact."""


@dataclass(frozen=True)
class Reuse:
    """A node, and what is reused of it."""

    node: NodePlan
    key: Any
    """ML Metadata's Context of the cache key."""
    inputs: Outputs
    outputs: Outputs


def find(root: Path, digest: str) -> tuple[Reuse, ...]:
    """What every node of the pipeline reuses; () if one would run, or TFX has to be asked."""
    nodes = plan.load(root, digest) if digest else ()
    if not nodes or not (root / DATABASE).exists():
        return ()
    made: dict[str, Outputs] = {}
    found = []
    try:
        with opened(root) as store:
            for node in nodes:
                reuse = _reuse(store, node, made)
                if reuse is None:
                    return ()
                made[node.name] = reuse.outputs
                found.append(reuse)
    except BeamfleetError:
        return ()  # the normal way meets it too, and says it in its place
    return tuple(found)


def register(root: Path, run_id: str, found: Sequence[Reuse], observer: Observer) -> None:
    """Writes the run into ML Metadata, as TFX does for cached nodes."""
    observer.nodes([reuse.node.name for reuse in found])
    with opened(root) as store:
        for reuse in found:
            observer.on(NodeEvent(reuse.node.name, STARTED))
            _register(store, run_id, reuse)
            observer.on(NodeEvent(reuse.node.name, CACHED))


def _reuse(store: Any, node: NodePlan, made: Mapping[str, Outputs]) -> Reuse | None:
    inputs = {key: made[source][output] for key, (source, output) in node.inputs.items()}
    key = store.get_context_by_type_and_name("execution_cache", _key(node, inputs))
    executions = store.get_executions_by_context(key.id) if key is not None else []
    succeeded = [e for e in executions if e.last_known_state in _successes()]
    for execution in sorted(succeeded, key=_created, reverse=True):
        outputs = _outputs(store, execution.id)
        if outputs is not None and outputs.keys() == node.outputs.keys():
            return Reuse(node, key, inputs, outputs)
    return None


def _key(node: NodePlan, inputs: Outputs) -> str:
    """Source: tfx.orchestration.portable.cache_utils.get_cache_context of TFX 1.21."""
    digest = hashlib.sha256(node.compiled)
    for name in sorted(inputs):
        digest.update(name.encode())
        digest.update(inputs[name].SerializeToString(deterministic=True))
    for name in sorted(node.outputs):
        digest.update(name.encode() + node.outputs[name])
    for name, value in sorted({**node.parameters, **_outside(node, inputs)}.items()):
        digest.update(name.encode() + value.encode())
    return digest.hexdigest()


def _outside(node: NodePlan, inputs: Outputs) -> dict[str, str]:
    """What the node's driver would set now.

    Raises:
      BeamfleetError: it is not one of ours, or cannot be told.
    """
    if not node.driver:
        return {}
    if not (node.driver.startswith("components.") and node.driver.endswith(_DRIVER)):
        raise BeamfleetError(f"{node.name}: {node.driver} has to be asked by TFX")
    module = importlib.import_module(f"{node.driver.removesuffix(_DRIVER)}.state")
    given = {key: [Given.of(artifact)] for key, artifact in inputs.items()}
    state = module.state(_parameters(node), given)
    return {name: str(value) for name, value in state.items()}


def _parameters(node: NodePlan) -> dict[str, Any]:
    from ml_metadata.proto import metadata_store_pb2

    execution = metadata_store_pb2.Execution.FromString(node.execution)
    values = {**execution.properties, **execution.custom_properties}
    return {name: getattr(value, value.WhichOneof("value")) for name, value in values.items()}


def _successes() -> tuple[int, ...]:
    from ml_metadata.proto.metadata_store_pb2 import Execution

    return Execution.COMPLETE, Execution.CACHED


def _created(execution: Any) -> int:
    return int(execution.create_time_since_epoch)


def _outputs(store: Any, execution_id: int) -> Outputs | None:
    """What the execution wrote, if all of it is LIVE and exists, and there is one of each."""
    from ml_metadata.proto.metadata_store_pb2 import Artifact, Event

    events = [
        event
        for event in store.get_events_by_execution_ids([execution_id])
        if event.type == Event.OUTPUT
    ]
    artifacts = {a.id: a for a in store.get_artifacts_by_id([e.artifact_id for e in events])}
    if not all(a.state == Artifact.LIVE and a.uri and exists(a.uri) for a in artifacts.values()):
        return None
    outputs = {event.path.steps[0].key: artifacts[event.artifact_id] for event in events}
    return outputs if len(outputs) == len(events) else None


def _register(store: Any, run_id: str, reuse: Reuse) -> None:
    """Two writes as in TFX: RUNNING with its inputs, then CACHED with its outputs and the key."""
    from ml_metadata.proto.metadata_store_pb2 import Event, Execution

    execution = Execution.FromString(reuse.node.execution)
    execution.name = str(uuid.uuid4())
    execution.last_known_state = Execution.RUNNING
    contexts = _contexts(store, run_id, reuse.node)
    execution.id = _put(store, execution, contexts, reuse.inputs, Event.INPUT)
    execution.last_known_state = Execution.CACHED
    _put(store, execution, [*contexts, reuse.key], reuse.outputs, Event.OUTPUT)


def _put(store: Any, execution: Any, contexts: Sequence[Any], used: Outputs, event: int) -> int:
    """Writes an execution and its events; an artifact under two keys has one event."""
    from ml_metadata.proto.metadata_store_pb2 import Event

    pairs: dict[int, tuple[Any, Any]] = {}
    for key, artifact in used.items():
        _, made = pairs.setdefault(artifact.id, (artifact, Event(type=event)))
        made.path.steps.add().key = key
        made.path.steps.add().index = 0
    number, _, _ = store.put_execution(
        execution, list(pairs.values()), contexts, reuse_context_if_already_exist=True
    )
    return int(number)


def _contexts(store: Any, run_id: str, node: NodePlan) -> list[Any]:
    """The node's contexts, that of the run made when it is missing."""
    from ml_metadata.proto.metadata_store_pb2 import Context, ParentContext

    pipeline, run, own = (Context.FromString(data) for data in node.contexts)
    known = store.get_context_by_type_and_name("pipeline_run", run_id)
    if known is None:
        run.name = run_id
        for field in ("id", "create_time_since_epoch", "last_update_time_since_epoch"):
            run.ClearField(field)
        [run.id] = store.put_contexts([run])
        store.put_parent_contexts([ParentContext(parent_id=pipeline.id, child_id=run.id)])
        known = run
    return [pipeline, known, own]
