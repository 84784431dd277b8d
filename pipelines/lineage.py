"""What made an artifact and what was made from it: all of ML Metadata of a root as a graph."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pipelines import metadata
from pipelines.metadata import Artifact
from pipelines.metadata_store import opened
from pipelines.parameters import code, flat

_SOURCES = ("paths", "eval_paths", "images", "references", "schema_file", "source_uri")
_PUSHED = "PushedModel"


@dataclass(frozen=True)
class Link:
    """An artifact that a step read or made."""

    key: str
    """Name of the input or output; `version 3` of a pushed version that a step used."""
    artifact: int


@dataclass(frozen=True)
class Step:
    """One execution of a node, and all runs that took its outputs from the cache."""

    id: int
    """Of the execution in ML Metadata."""
    node: str
    run: str
    """Run that did it."""
    state: str
    reused_by: tuple[str, ...] = ()
    """Runs that took it from the cache."""
    parameters: Mapping[str, Any] = field(default_factory=dict, hash=False)
    inputs: tuple[Link, ...] = ()
    outputs: tuple[Link, ...] = ()

    @property
    def code(self) -> dict[str, str]:
        """The user's functions, and fingerprints of their code, by name of the parameter."""
        return code(self.parameters)


@dataclass(frozen=True)
class Source:
    """Files that a step read from outside."""

    files: tuple[str, ...]
    """Files as they were found; where a step does not say them, the patterns it was given."""
    fingerprint: str
    """Of names, sizes and times of change."""


@dataclass(frozen=True)
class Graph:
    """All artifacts and steps of one root."""

    root: str
    artifacts: Mapping[int, Artifact]
    steps: tuple[Step, ...]

    def maker(self, artifact: int) -> Step | None:
        """The step that made it; None of what came from elsewhere."""
        return self._makers.get(artifact)

    def users(self, artifact: int) -> Sequence[Step]:
        """The steps that read it, oldest first."""
        return self._users.get(artifact, ())

    def source(self, step: Step) -> Source | None:
        """What a step read that is no artifact."""
        properties = [self.artifacts[link.artifact].properties for link in step.outputs]
        return source_of(step.parameters, properties)

    @cached_property
    def _makers(self) -> Mapping[int, Step]:
        return {link.artifact: step for step in self.steps for link in step.outputs}

    @cached_property
    def _users(self) -> Mapping[int, Sequence[Step]]:
        users: dict[int, list[Step]] = {}
        for step in self.steps:
            for artifact in dict.fromkeys(link.artifact for link in step.inputs):
                users.setdefault(artifact, []).append(step)
        return users


def read_graph(root: Path) -> Graph:
    """Reads all artifacts and executions of a root.

    Raises:
      BeamfleetError: there are no runs.
    """
    runs: list[tuple[str, metadata.Node]] = []
    with opened(root) as store:
        for context in store.get_contexts_by_type("pipeline_run"):
            executions = store.get_executions_by_context(context.id)
            runs += [(context.name, node) for node in metadata.nodes_of(store, root, executions)]
    runs.sort(key=lambda pair: pair[1].id)
    linked = [artifact for _, node in runs for artifact in (*node.inputs, *node.outputs)]
    artifacts = {artifact.id: artifact for artifact in linked}
    # An output's name says more than an input's.
    artifacts |= {artifact.id: artifact for _, node in runs for artifact in node.outputs}
    versions = {
        version: artifact.id
        for _, artifact in sorted(artifacts.items(), reverse=True)  # the first one made it
        if artifact.type == _PUSHED and (version := pushed_version(artifact))
    }
    return Graph(str(root), artifacts, tuple(_steps(runs, versions)))


def source_of(parameters: Mapping[str, Any], outputs: Sequence[Mapping[str, Any]]) -> Source | None:
    """What a node read that is no artifact; None: nothing.

    Args:
      parameters: Of the node.
      outputs: Properties of what it made.
    """
    values = flat(parameters)
    asked = [
        text
        for name, value in values.items()
        if name.rpartition(".")[2] in _SOURCES
        for text in (value if isinstance(value, list) else [value])
        if text
    ]
    found = [file for properties in outputs for file in _files(properties)]
    if not asked and not found:
        return None
    fingerprint = values.get("input_fingerprint") or values.get("sha256") or ""
    return Source(tuple(map(str, found or asked)), str(fingerprint))


def pushed_version(artifact: Artifact) -> tuple[str, int] | None:
    """Directory and number of the version that a PushedModel is; None if none was pushed."""
    properties = artifact.properties
    if not properties.get("pushed"):
        return None
    return str(properties["pushed_destination"]), int(properties["version"])


def _steps(
    runs: Sequence[tuple[str, metadata.Node]], versions: Mapping[tuple[str, int], int]
) -> Iterator[Step]:
    """Executions with the same outputs are one step: one made them, the others took them."""
    groups: dict[object, list[tuple[str, metadata.Node]]] = {}
    for run, node in runs:
        made = frozenset(artifact.id for artifact in node.outputs)
        groups.setdefault(made or node.id, []).append((run, node))
    for (run, node), *others in groups.values():
        outputs = tuple(Link(artifact.key, artifact.id) for artifact in node.outputs)
        yield Step(
            id=node.id,
            node=node.name,
            run=run,
            state=node.state,
            reused_by=tuple(name for name, _ in others),
            parameters=node.parameters,
            inputs=(*_inputs(node), *_used_version(node, versions)),
            outputs=outputs,
        )


def _inputs(node: metadata.Node) -> Iterator[Link]:
    for artifact in node.inputs:
        yield Link(artifact.key, artifact.id)


def _used_version(node: metadata.Node, versions: Mapping[tuple[str, int], int]) -> Iterator[Link]:
    """A pushed version that the node compared with, took over or predicted with."""
    if any(artifact.type == _PUSHED for artifact in node.outputs):
        return  # it only looks whether it is still the current one
    directory = str(node.parameters.get("push_destination") or "")
    number = int(
        node.parameters.get("baseline_version") or node.parameters.get("model_version") or 0
    )
    used = versions.get((directory, number))
    if used is not None and used not in {artifact.id for artifact in node.inputs}:
        yield Link(f"version {number}", used)


def _files(properties: Mapping[str, Any]) -> list[str]:
    names = flat({"files": properties.get("files") or "[]"})["files"]
    return list(names) if isinstance(names, list) else []
