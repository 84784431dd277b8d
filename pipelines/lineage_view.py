"""How lineage looks on the terminal: two trees."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pipelines.feature_view import features_of
from pipelines.lineage import Graph, Source, Step
from pipelines.metadata import Artifact
from pipelines.parameters import is_fingerprint
from pipelines.render import escaped, number

if TYPE_CHECKING:
    from rich.console import Console
    from rich.tree import Tree

_LISTED = 8
"""Files, and runs that took a step from the cache, are listed up to so many."""
_SHORT = 12
"""Characters of a fingerprint."""
_COUNTS = ("rows_in", "rows_rejected", "rows", "rows_evaluated", "entities")


def show_made_of(graph: Graph, artifact: Artifact, console: "Console") -> None:
    """Prints what made an artifact, up to the files that were read."""
    from rich.tree import Tree

    tree = Tree(f"[bold]made by[/]  {_artifact(graph, artifact)}")
    _add_maker(graph, artifact, tree, set())
    console.print(tree)


def show_made_from(graph: Graph, artifact: Artifact, console: "Console") -> None:
    """Prints what was made from an artifact."""
    from rich.tree import Tree

    tree = Tree(f"[bold]made from[/]  {_artifact(graph, artifact)}")
    _add_users(graph, artifact, tree, set())
    if not tree.children:
        tree.add("nothing")
    console.print(tree)


def _add_maker(graph: Graph, artifact: Artifact, tree: "Tree", seen: set[int]) -> None:
    step = graph.maker(artifact.id)
    if step is None:
        tree.add("from elsewhere: no step here made it")
        return
    if step.id in seen:
        tree.add(f"{_name(step)} [dim](see above)[/]")
        return
    seen.add(step.id)
    branch = tree.add(_step(step))
    for line in _origins(graph, step):
        branch.add(line)
    for link in step.inputs:
        read = graph.artifacts[link.artifact]
        _add_maker(
            graph, read, branch.add(f"[cyan]{escaped(link.key)}[/] {_artifact(graph, read)}"), seen
        )


def _add_users(graph: Graph, artifact: Artifact, tree: "Tree", seen: set[int]) -> None:
    for step in graph.users(artifact.id):
        if step.id in seen:
            tree.add(f"{_name(step)} [dim](see above)[/]")
            continue
        seen.add(step.id)
        branch = tree.add(_step(step))
        for link in step.outputs:
            made = graph.artifacts[link.artifact]
            text = f"[cyan]{escaped(link.key)}[/] {_artifact(graph, made)}"
            _add_users(graph, made, branch.add(text), seen)


def _artifact(graph: Graph, artifact: Artifact) -> str:
    counts = [
        f"{number(int(artifact.properties[name]))} {name}"
        for name in _COUNTS
        if artifact.properties.get(name) is not None
    ]
    place = artifact.uri.removeprefix(f"{graph.root}/artifacts/")
    text = f"[bold]{artifact.type}[/] {artifact.id}  {escaped(place)}"
    return text + (f"  [dim]{', '.join(counts)}[/]" if counts else "")


def _name(step: Step) -> str:
    return f"[green]{escaped(step.node)}[/] of run {escaped(step.run)}"


def _step(step: Step) -> str:
    text = _name(step) + ("" if step.state in ("done", "cached") else f", [red]{step.state}[/]")
    if step.reused_by:
        runs = ", ".join(map(escaped, step.reused_by[:_LISTED]))
        more = len(step.reused_by) - _LISTED
        text += f" [dim](cached for {runs}{f' and {more} more' if more > 0 else ''})[/]"
    return text


def _origins(graph: Graph, step: Step) -> Iterator[str]:
    """What is no artifact: code and files."""
    for name, value in step.code.items():
        short = value[:_SHORT] if is_fingerprint(name) else value
        yield f"[magenta]code[/] {escaped(name)} {escaped(short)}"
    for link in step.outputs:
        if said := features_of(graph.artifacts[link.artifact].properties):
            yield f"[magenta]features[/] {escaped(said)}"
    if source := graph.source(step):
        yield f"[magenta]files[/] {_source(source)}"


def _source(source: Source) -> str:
    text = ", ".join(map(escaped, source.files[:_LISTED]))
    if len(source.files) > _LISTED:
        text += f" and {number(len(source.files) - _LISTED)} more"
    return text + (
        f"  [dim]fingerprint {source.fingerprint[:_SHORT]}[/]" if source.fingerprint else ""
    )
