"""Finds the artifact that `beamfleet lineage` is asked for."""

import difflib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from components.errors import BeamfleetError
from components.files import is_remote
from pipelines import metadata
from pipelines.lineage import Graph, pushed_version, read_graph
from pipelines.metadata import Artifact

_NAMED = 3


def find_artifact(given: str, base: Path) -> tuple[Graph, Artifact]:
    """The artifact, and the graph of its root.

    Args:
      given: Id, uri, path of an artifact or of something in it, or folder of a pushed version.
      base: Root of runs or folder of roots; a path below a root needs none.

    Raises:
      BeamfleetError: there is none, or there are several; names close ones.
    """
    roots = list(_roots_of(given)) or metadata.find_roots(base)
    if not roots:
        raise BeamfleetError(f"no runs below {base}; name their root by --root")
    graphs = [read_graph(root) for root in roots]
    found = [(graph, one) for graph in graphs for one in _matches(graph, given)]
    if len(found) > 1:
        places = " and ".join(f"{one.uri} of {graph.root}" for graph, one in found)
        raise BeamfleetError(f"{given!r} may be {places}: give the path, or --root")
    for graph, artifact in found:
        return graph, artifact
    known = [name for graph in graphs for name in _names(graph)]
    raise BeamfleetError(
        f"no artifact {given!r} in {', '.join(str(root) for root in roots)}; {_close(given, known)}"
    )


def _roots_of(given: str) -> Iterator[Path]:
    """The root below which a path lies, or from which a version was pushed."""
    if is_remote(given):
        return
    path = Path(given).absolute()
    for folder in (path, *path.parents):
        version = folder / "version.json"
        pushed = version.is_file() and not (folder / metadata.DATABASE).is_file()
        source = json.loads(version.read_text(encoding="utf-8")).get("model_uri") if pushed else ""
        below = [folder, *Path(source).parents] if source else [folder]
        for candidate in below:
            if (candidate / metadata.DATABASE).is_file():
                yield candidate
                return


def _matches(graph: Graph, given: str) -> list[Artifact]:
    """By id; else the artifacts whose folder is the path, or holds it."""
    if given.isdigit():
        found = graph.artifacts.get(int(given))
        return [found] if found else []
    artifacts = list(graph.artifacts.values())
    places = {artifact.id: _places(artifact) for artifact in artifacts}
    wanted = _absolute(given)
    for path in (wanted, *wanted.parents):
        if matching := [one for one in artifacts if path in places[one.id]]:
            return matching
    return [one for one in artifacts if one.uri.endswith(f"/{given.strip('/')}")]


def _places(artifact: Artifact) -> list[Path]:
    version = pushed_version(artifact)
    pushed = [_absolute(f"{version[0]}/{version[1]}")] if version else []
    return [_absolute(artifact.uri), *pushed]


def _absolute(path: str) -> Path:
    return Path(path) if is_remote(path) else Path(path).absolute()


def _names(graph: Graph) -> Iterator[str]:
    for artifact in graph.artifacts.values():
        yield "/".join(Path(artifact.uri).parts[-3:])


def _close(given: str, known: Sequence[str]) -> str:
    tail = given if given.isdigit() else "/".join(Path(given).parts[-3:])
    close = difflib.get_close_matches(tail, known, n=_NAMED, cutoff=0.5)
    if close:
        return f"close ones are {', '.join(close)}"
    return f"it has {len(known)}, such as {', '.join(known[:_NAMED])}" if known else "it has none"
