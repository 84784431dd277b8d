"""Whether two runs were evaluated on the same rows; otherwise their metrics say little."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from pipelines.metadata import Artifact, Node, Run
from pipelines.parameters import flat
from pipelines.render import number

EVALUATORS = ("EntityEvaluator", "Evaluator", "CaptionEvaluator")
_LABELS = ("label", "positive_label", "task", "reference")


def evaluator_of(run: Run) -> Node | None:
    """The node that evaluated, or None."""
    return next((node for name in EVALUATORS if (node := run.node(name))), None)


def why_not_comparable(a: Run, b: Run) -> str:
    """Why metrics of two runs are not to be compared; empty: they are of the same rows."""
    nodes = evaluator_of(a), evaluator_of(b)
    if nodes[0] is None or nodes[1] is None:
        return ""  # there are no two metrics
    return "; ".join(_reasons(a, b, nodes[0], nodes[1]))


def _reasons(a: Run, b: Run, ours: Node, theirs: Node) -> Iterator[str]:
    for name in _LABELS:
        wanted = _parameter(a, name), _parameter(b, name)
        if wanted[0] != wanted[1]:
            yield f"{name} is {wanted[0]!r} in one and {wanted[1]!r} in the other"
    folders = _rows_of(a, ours), _rows_of(b, theirs)
    if why := _difference(*folders):
        yield why
    evaluated = [_evaluated(node) for node in (ours, theirs)]
    if not why and evaluated[0] != evaluated[1]:
        yield f"of the same rows {evaluated[0]} and {evaluated[1]} were evaluated"


def _parameter(run: Run, name: str) -> object:
    """A parameter of that name of any node that trains or evaluates, or None."""
    for node in run.nodes:
        values = flat(node.parameters)
        for key in (name, f"custom_config.{name}"):
            if key in values:
                return values[key]
    return None


def _rows_of(run: Run, evaluator: Node) -> Path | None:
    """Folder of the split on which the node evaluated."""
    source = run.node("ExampleGen")
    read = [artifact for artifact in evaluator.inputs if artifact.key == "examples"]
    examples: Artifact | None = read[0] if read else (source.output("examples") if source else None)
    if examples is None:
        return None
    split = Path(examples.uri, f"Split-{evaluator.parameters.get('eval_split') or 'eval'}")
    return split if split.is_dir() else Path(examples.uri)


def _difference(ours: Path | None, theirs: Path | None) -> str:
    if ours == theirs and ours is not None:
        return ""
    if ours is None or theirs is None or not ours.is_dir() or not theirs.is_dir():
        return "the rows that they were evaluated on are gone, and cannot be compared"
    if _sizes(ours) == _sizes(theirs) and _digest(ours) == _digest(theirs):
        return ""
    return f"they were evaluated on other rows: {ours} and {theirs}"


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _sizes(folder: Path) -> list[int]:
    return [path.stat().st_size for path in _files(folder)]


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in _files(folder):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _evaluated(node: Node) -> str:
    evaluation = node.output("evaluation")
    rows = evaluation.properties.get("rows_evaluated") if evaluation else None
    return "none" if rows is None else number(int(rows))
