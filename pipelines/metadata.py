"""What ML Metadata knows about the runs below a root. Imports no TFX, which takes seconds."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.errors import BeamfleetError
from pipelines.environment import environment
from pipelines.lock import is_held
from pipelines.metadata_store import DATABASE as DATABASE
from pipelines.metadata_store import opened as _store

_ERROR, _STATE, _SECONDS, _LEFT_OUT = "error", "state", "seconds", "left_out"
_ENVIRONMENT = "environment"
CPU_SECONDS, PEAK_MB, START_MB = "cpu_seconds", "peak_rss_mb", "start_rss_mb"
"""Properties of an execution: what `pipelines.launching` measured."""
_STATES = {"COMPLETE": "done", "CACHED": "cached", "FAILED": "failed", "CANCELED": "stopped"}


@dataclass(frozen=True)
class Artifact:
    """One output of a node."""

    key: str
    """Output name, such as `examples`."""
    type: str
    uri: str
    properties: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Custom properties."""
    id: int = 0
    """In ML Metadata."""


@dataclass(frozen=True)
class Node:
    """One node of one run."""

    name: str
    state: str
    """done, cached, failed, stopped or running."""
    started: float
    """Seconds since the epoch."""
    seconds: float
    outputs: tuple[Artifact, ...] = ()
    error: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Execution properties: structures are JSON."""
    inputs: tuple[Artifact, ...] = ()
    """What it read, by the name of the input; empty where a node took its outputs from the cache of
    a run that kept none."""
    id: int = 0
    """Of the execution in ML Metadata."""
    cpu_seconds: float | None = None
    """Of the process and its children; None: not measured, as of a killed or cached node."""
    peak_mb: float | None = None
    """Most resident memory of the process and its children at one time, in MB of 10^6 bytes."""
    start_mb: float | None = None
    """What these held when the node started."""

    def output(self, key: str) -> Artifact | None:
        """The output of that name, or None."""
        return next((artifact for artifact in self.outputs if artifact.key == key), None)


@dataclass(frozen=True)
class Run:
    """One run of a pipeline."""

    run_id: str
    pipeline: str
    root: str
    state: str
    """done, failed, stopped (by the user or killed) or running."""
    nodes: tuple[Node, ...]
    """In the order in which they started."""
    took: float | None = None
    """Seconds with all around the nodes; None: its process was killed and could not say."""
    environment: Mapping[str, str] = field(default_factory=dict, hash=False)
    """What it ran with, see `pipelines.environment`; empty: its process was killed."""
    left_out: tuple[str, ...] = ()
    """Nodes whose condition did not hold."""

    @property
    def started(self) -> float:
        """Seconds since the epoch."""
        return self.nodes[0].started if self.nodes else 0.0

    @property
    def seconds(self) -> float:
        """How long it took; of a killed run from the first node's start to the last one's end."""
        if self.took is not None:
            return self.took
        return max((n.started + n.seconds for n in self.nodes), default=0.0) - self.started

    def node(self, name: str) -> Node | None:
        """The node of that id, or None if it did not run."""
        return next((node for node in self.nodes if node.name == name), None)


def read_runs(root: Path) -> list[Run]:
    """All runs of a root, oldest first, without the artifacts."""
    with _store(root) as store:
        contexts = store.get_contexts_by_type("pipeline_run")
        runs = [_run(store, context, root, with_artifacts=False) for context in contexts]
    return sorted(runs, key=lambda run: (run.started, run.run_id))


def read_run(root: Path, run_id: str) -> Run:
    """One run with all that its nodes made or took from the cache.

    Raises:
      BeamfleetError: there is no such run; names the latest ones.
    """
    with _store(root) as store:
        context = store.get_context_by_type_and_name("pipeline_run", run_id)
        if context is not None:
            return _run(store, context, root, with_artifacts=True)
        names = sorted(c.name for c in store.get_contexts_by_type("pipeline_run"))
    raise BeamfleetError(
        f"{root} has no run {run_id!r}; the latest are: {', '.join(names[-5:]) or 'none'}"
    )


def close_runs(root: Path, state: str, error: str = "") -> None:
    """Gives runs and executions that are open their end: a killed process leaves them open.

    Only for the process that holds the root's lock.

    Args:
      root: Root of the runs.
      state: "done", "failed" or "stopped".
      error: Why; `beamfleet show` prints it.
    """
    if not (root / DATABASE).exists():
        return
    from ml_metadata.proto import metadata_store_pb2

    value = metadata_store_pb2.Execution.State.Value("FAILED" if state == "failed" else "CANCELED")
    with _store(root) as store:
        executions = [e for e in store.get_executions() if _state_name(e) not in _STATES]
        for execution in executions:
            execution.last_known_state = value
            execution.custom_properties[_ERROR].string_value = error
        store.put_executions(executions)
        runs = [r for r in store.get_contexts_by_type("pipeline_run") if not _noted(r, _STATE)]
        for run in runs:
            run.custom_properties[_STATE].string_value = state
        store.put_contexts(runs)


def note_error(root: Path, run_id: str, node: str, error: str) -> None:
    """Keeps the reason of a failed node for `beamfleet show`."""
    with _store(root) as store:
        context = store.get_context_by_type_and_name("pipeline_run", run_id)
        executions = store.get_executions_by_context(context.id) if context is not None else []
        failed = [e for e in executions if _node_name(store, e) == node]
        for execution in failed:
            execution.custom_properties[_ERROR].string_value = error
        if failed:
            store.put_executions(failed)


def note_output(root: Path, run_id: str, output: Artifact, noted: Mapping[str, str | int]) -> None:
    """Adds custom properties to an artifact that a run made or took from the cache.

    Raises:
      BeamfleetError: the run has no such artifact.
    """
    with _store(root) as store:
        context = store.get_context_by_type_and_name("pipeline_run", run_id)
        artifacts = store.get_artifacts_by_context(context.id) if context is not None else []
        found = [one for one in artifacts if one.uri == output.uri]
        if not found:
            raise BeamfleetError(f"run {run_id} of {root} has no artifact {output.uri}")
        for artifact in found:
            for name, value in noted.items():
                if isinstance(value, int):
                    artifact.custom_properties[name].int_value = value
                else:
                    artifact.custom_properties[name].string_value = value
        store.put_artifacts(found)


def note_cost(store: Any, execution_id: int, cost: Mapping[str, float]) -> None:
    """Keeps what an execution cost: CPU_SECONDS, PEAK_MB, START_MB; TFX's cache ignores it."""
    for execution in store.get_executions_by_id([execution_id]):
        for name, value in cost.items():
            execution.custom_properties[name].double_value = value
        store.put_executions([execution])


@contextmanager
def timed(root: Path, run_id: str) -> Iterator[None]:
    """Keeps how long what is done within took: for `Run.seconds`, however the run ends."""
    started = time.monotonic()
    try:
        yield
    finally:
        with suppress(BeamfleetError):  # no node was started, or the disk is full
            _note_seconds(root, run_id, time.monotonic() - started)


def note_left_out(root: Path, run_id: str, nodes: Sequence[str]) -> None:
    """Keeps which nodes did not run because of their conditions: they left nothing themselves."""
    with _store(root) as store:
        context = store.get_context_by_type_and_name("pipeline_run", run_id)
        context.custom_properties[_LEFT_OUT].string_value = " ".join(nodes)
        store.put_contexts([context])


def _note_seconds(root: Path, run_id: str, seconds: float) -> None:
    with _store(root) as store:
        context = store.get_context_by_type_and_name("pipeline_run", run_id)
        if context is not None:
            context.custom_properties[_SECONDS].double_value = seconds
            context.custom_properties[_ENVIRONMENT].string_value = json.dumps(environment())
            store.put_contexts([context])


def find_roots(base: Path) -> list[Path]:
    """`base` itself if runs lie there, else the folders below it where runs lie."""
    if (base / DATABASE).exists():
        return [base]
    return sorted(path.parent for path in base.glob(f"*/{DATABASE}"))


def nodes_of(
    store: Any, root: Path, executions: Sequence[Any], *, with_artifacts: bool = True
) -> list[Node]:
    """Executions of one root, as nodes, in the order in which they started."""
    outputs, inputs = _artifacts(store, executions) if with_artifacts else ({}, {})
    makers = _makers(store, executions, outputs)
    # A killed process could not say that it ended; the lock knows.
    unfinished = "running" if is_held(root) else "stopped"
    nodes = [
        _node(store, e, makers.get(e.id), (outputs.get(e.id, ()), inputs.get(e.id, ())), unfinished)
        for e in executions
    ]
    return sorted(nodes, key=lambda node: node.started)


def _run(store: Any, context: Any, root: Path, *, with_artifacts: bool) -> Run:
    executions = store.get_executions_by_context(context.id)
    nodes = nodes_of(store, root, executions, with_artifacts=with_artifacts)
    pipelines = [
        c.name
        for e in executions[:1]
        for c in store.get_contexts_by_execution(e.id)
        if c.type == "pipeline"
    ]
    state = _noted(context, _STATE) or ("running" if is_held(root) else "stopped")
    known = context.custom_properties
    took = known[_SECONDS].double_value if _SECONDS in known else None
    with_what = json.loads(_noted(context, _ENVIRONMENT) or "{}")
    left_out = tuple(_noted(context, _LEFT_OUT).split())
    name = pipelines[0] if pipelines else ""
    return Run(context.name, name, str(root), state, tuple(nodes), took, with_what, left_out)


def _node(
    store: Any,
    execution: Any,
    maker: Any,
    artifacts: tuple[tuple[Artifact, ...], tuple[Artifact, ...]],
    unfinished: str,
) -> Node:
    own = _parameters(execution)
    cost = [own.get(name) for name in (CPU_SECONDS, PEAK_MB, START_MB)]
    # What a driver finds out, such as fingerprints of files, a cached execution does not have.
    parameters = {**(_parameters(maker) if maker else {}), **own}
    for name in (CPU_SECONDS, PEAK_MB, START_MB):
        parameters.pop(name, None)
    started, ended = execution.create_time_since_epoch, execution.last_update_time_since_epoch
    return Node(
        name=_node_name(store, execution),
        state=_STATES.get(_state_name(execution), unfinished),
        started=started / 1000,
        seconds=(ended - started) / 1000,
        outputs=artifacts[0],
        error=_noted(execution, _ERROR),
        parameters=parameters,
        inputs=artifacts[1],
        id=execution.id,
        cpu_seconds=cost[0],
        peak_mb=cost[1],
        start_mb=cost[2],
    )


def _noted(thing: Any, name: str) -> str:
    """A word of ours on an execution or a context; empty if there is none."""
    known = thing.custom_properties
    return str(known[name].string_value) if name in known else ""


def _state_name(execution: Any) -> str:
    from ml_metadata.proto import metadata_store_pb2

    return str(metadata_store_pb2.Execution.State.Name(execution.last_known_state))


def _node_name(store: Any, execution: Any) -> str:
    """TFX names a node's context `<pipeline>.<node>`."""
    contexts = store.get_contexts_by_execution(execution.id)
    names = [c.name.rpartition(".")[2] for c in contexts if c.type == "node"]
    return names[0] if names else str(execution.type)


def _makers(
    store: Any, executions: Sequence[Any], outputs: Mapping[int, tuple[Artifact, ...]]
) -> dict[int, Any]:
    """Id of a cached execution -> the one that made what it took."""
    from ml_metadata.proto import metadata_store_pb2

    cached = {
        outputs[e.id][0].id: e.id
        for e in executions
        if e.last_known_state == metadata_store_pb2.Execution.CACHED and outputs.get(e.id)
    }
    made = [
        event
        for event in store.get_events_by_artifact_ids(list(cached))
        if event.type == metadata_store_pb2.Event.OUTPUT
    ]
    first = {
        artifact: min(event.execution_id for event in made if event.artifact_id == artifact)
        for artifact in {event.artifact_id for event in made}
    }
    by_id = {e.id: e for e in store.get_executions_by_id(set(first.values()))}
    return {cached[artifact]: by_id[maker] for artifact, maker in first.items()}


def _parameters(execution: Any) -> dict[str, Any]:
    return {name: _plain(v) for name, v in execution.custom_properties.items()}


_ByExecution = dict[int, tuple[Artifact, ...]]


def _artifacts(store: Any, executions: Sequence[Any]) -> tuple[_ByExecution, _ByExecution]:
    """Outputs and inputs by execution."""
    from ml_metadata.proto import metadata_store_pb2

    outputs: _ByExecution = {}
    inputs: _ByExecution = {}
    sides = {
        metadata_store_pb2.Event.OUTPUT: outputs,
        metadata_store_pb2.Event.INPUT: inputs,
    }
    events = [
        event
        for event in store.get_events_by_execution_ids([e.id for e in executions])
        if event.type in sides
    ]
    by_id = {a.id: a for a in store.get_artifacts_by_id({e.artifact_id for e in events})}
    for event in events:
        key = next((s.key for s in event.path.steps if s.HasField("key")), "")
        artifact, side = by_id[event.artifact_id], sides[event.type]
        made = Artifact(key, artifact.type, artifact.uri, _properties(artifact), artifact.id)
        side[event.execution_id] = (*side.get(event.execution_id, ()), made)
    return outputs, inputs


def _properties(artifact: Any) -> dict[str, Any]:
    everything = {**artifact.properties, **artifact.custom_properties}
    return {name: _plain(value) for name, value in everything.items()}


def _plain(value: Any) -> Any:
    kind = value.WhichOneof("value")
    plain = getattr(value, kind) if kind else None
    if kind != "struct_value":
        return plain
    from google.protobuf import json_format

    document = json_format.MessageToDict(plain)
    # TFX stores lists and the like as {"__value__": ...}.
    return document.get("__value__", document)
