"""Walks the graph of lineage: all that made an artifact, all that was made from it."""

from dataclasses import asdict, dataclass
from typing import Any

from pipelines.lineage import Graph, Step


@dataclass(frozen=True)
class Reached:
    """A part of a graph."""

    artifacts: frozenset[int] = frozenset()
    steps: frozenset[Step] = frozenset()

    def __or__(self, other: "Reached") -> "Reached":
        return Reached(self.artifacts | other.artifacts, self.steps | other.steps)


def ancestors(graph: Graph, artifact: int) -> Reached:
    """The artifact and all that made it."""
    artifacts, steps, open_ = {artifact}, set[Step](), [artifact]
    while open_:
        step = graph.maker(open_.pop())
        if step is not None and step not in steps:
            steps.add(step)
            new = {link.artifact for link in step.inputs} - artifacts
            artifacts |= new
            open_ += new
    return Reached(frozenset(artifacts), frozenset(steps))


def descendants(graph: Graph, artifact: int) -> Reached:
    """The artifact and all that was made from it."""
    artifacts, steps, open_ = {artifact}, set[Step](), [artifact]
    while open_:
        for step in graph.users(open_.pop()):
            steps.add(step)
            new = {link.artifact for link in step.outputs} - artifacts
            artifacts |= new
            open_ += new
    return Reached(frozenset(artifacts), frozenset(steps))


def document(graph: Graph, reached: Reached) -> dict[str, Any]:
    """Nodes and edges for JSON: edges point from what was read to what was made of it."""
    artifacts = [
        {
            "id": artifact.id, "kind": "artifact", "type": artifact.type, "uri": artifact.uri,
            "properties": dict(artifact.properties),
        }
        for artifact in map(graph.artifacts.__getitem__, sorted(reached.artifacts))
    ]  # fmt: skip
    steps, edges = [], []
    for step in sorted(reached.steps, key=lambda step: step.id):
        name, source = f"step {step.id}", graph.source(step)
        steps.append(
            {
                "id": name, "kind": "step", "node": step.node, "run": step.run,
                "reused_by": list(step.reused_by), "state": step.state, "code": step.code,
                "source": asdict(source) if source else None,
            }
        )  # fmt: skip
        edges += [
            {"from": link.artifact, "to": name, "key": link.key}
            for link in step.inputs
            if link.artifact in reached.artifacts
        ]
        edges += [
            {"from": name, "to": link.artifact, "key": link.key}
            for link in step.outputs
            if link.artifact in reached.artifacts
        ]
    return {"root": graph.root, "nodes": [*artifacts, *steps], "edges": edges}
