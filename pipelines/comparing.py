"""What differs between two runs: read from what their nodes published."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipelines.comparing_metrics import (
    EntityChange,
    MetricChange,
    SliceChange,
    entity_changes,
    metric_changes,
    slice_changes,
)
from pipelines.evaluated_rows import evaluator_of, why_not_comparable
from pipelines.metadata import Node, Run
from pipelines.parameters import flat, is_code
from pipelines.summary import Summary, summarise

_NO_PARAMETERS = ("directory_id", "error")
_ROOT = "<root>"


@dataclass(frozen=True)
class Change:
    """A value of a node that is not the same in both runs."""

    node: str
    name: str
    """Dotted where it lies in a structure."""
    a: Any
    """None: not there."""
    b: Any


@dataclass(frozen=True)
class NodeSeconds:
    """How long a node took; None where the run has no such node."""

    node: str
    a: float | None
    b: float | None
    state_a: str | None
    state_b: str | None


@dataclass(frozen=True)
class Comparison:
    """Two runs side by side; all lists but `seconds`, `infra` and `metrics` hold differences."""

    a: Mapping[str, Any]
    """run, pipeline, root, state, started, seconds."""
    b: Mapping[str, Any]
    parameters: tuple[Change, ...]
    code: tuple[Change, ...]
    """The user's functions and the fingerprints of their code."""
    data: tuple[Change, ...]
    """Spans, files, fingerprints and counts of rows of all examples."""
    not_comparable: str
    """Why the metrics are not of the same rows; empty: they are."""
    metrics: tuple[MetricChange, ...]
    slices: tuple[SliceChange, ...]
    """Worst first."""
    slices_of: int
    """How many there are in either run."""
    entities: tuple[EntityChange, ...]
    """Those whose verdict or value has changed, or that are in one run only; worst first."""
    entities_of: int
    infra: tuple[Change, ...]
    seconds: tuple[NodeSeconds, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def compare(a: Run, b: Run) -> Comparison:
    """Compares two runs, as `metadata.read_run` gives them, of one root or of two."""
    summaries = summarise(a), summarise(b)
    parameters = list(_parameter_changes(a, b))
    slices, slices_of = slice_changes(_evaluation(a), _evaluation(b))
    entities, entities_of = entity_changes(*(s.entities for s in summaries))
    data = [change for change in parameters if _is_data(change.name)]
    return Comparison(
        a=_head(a),
        b=_head(b),
        parameters=tuple(c for c in parameters if not is_code(c.name) and not _is_data(c.name)),
        code=tuple(change for change in parameters if is_code(change.name)),
        data=(*_example_changes(a, b), *data),
        not_comparable=why_not_comparable(a, b),
        metrics=metric_changes(*map(_overall, summaries)),
        slices=slices,
        slices_of=slices_of,
        entities=entities,
        entities_of=entities_of,
        infra=_infra(*summaries),
        seconds=tuple(_seconds(a, b)),
    )


def _head(run: Run) -> dict[str, Any]:
    return {
        "run": run.run_id,
        "pipeline": run.pipeline,
        "root": run.root,
        "state": run.state,
        "started": run.started,
        "seconds": round(run.seconds, 3),
    }


def _node_names(a: Run, b: Run) -> list[str]:
    return list(dict.fromkeys(node.name for run in (a, b) for node in run.nodes))


def _parameter_changes(a: Run, b: Run) -> Iterator[Change]:
    for name in _node_names(a, b):
        ours, theirs = (_parameters(run, run.node(name)) for run in (a, b))
        if ours is None or theirs is None:
            yield Change(name, "node", _there(ours), _there(theirs))
            continue
        for key in sorted(ours | theirs):
            if ours.get(key) != theirs.get(key):
                yield Change(name, key, ours.get(key), theirs.get(key))


def _there(parameters: Mapping[str, Any] | None) -> str | None:
    return None if parameters is None else "there"


def _parameters(run: Run, node: Node | None) -> dict[str, Any] | None:
    """Without what only says where the run's root is."""
    if node is None:
        return None
    return {
        name: value.replace(run.root, _ROOT) if isinstance(value, str) else value
        for name, value in flat(node.parameters).items()
        if name not in _NO_PARAMETERS
    }


def _is_data(name: str) -> bool:
    return name in ("span", "version", "input_fingerprint")


def _example_changes(a: Run, b: Run) -> Iterator[Change]:
    for name in _node_names(a, b):
        ours, theirs = (_counts(run.node(name)) for run in (a, b))
        for key in sorted(ours | theirs):
            if ours.get(key) != theirs.get(key):
                yield Change(name, key, ours.get(key), theirs.get(key))


def _counts(node: Node | None) -> dict[str, Any]:
    """Of the examples of a node that reads rows."""
    examples = node.output("examples") if node else None
    return {
        name: value
        for name, value in (examples.properties if examples else {}).items()
        if name.startswith("rows_") or name in ("files", "notes")
    }


def _evaluation(run: Run) -> Path | None:
    node = evaluator_of(run)
    artifact = node.output("evaluation") if node else None
    return Path(artifact.uri) if artifact else None


def _overall(summary: Summary) -> Mapping[str, Mapping[str, Any]]:
    overall: Mapping[str, Any] = (summary.evaluation or summary.captions).get("overall", {})
    return {model: values for model, values in overall.items() if isinstance(values, Mapping)}


def _infra(a: Summary, b: Summary) -> tuple[Change, ...]:
    names = sorted({*a.infra, *b.infra})
    return tuple(Change("InfraValidator", n, a.infra.get(n), b.infra.get(n)) for n in names)


def _seconds(a: Run, b: Run) -> Iterator[NodeSeconds]:
    for name in _node_names(a, b):
        yield NodeSeconds(name, *_each(a, b, name, "seconds"), *_each(a, b, name, "state"))


def _each(a: Run, b: Run, node: str, attribute: str) -> Sequence[Any]:
    nodes = a.node(node), b.node(node)
    return [getattr(found, attribute) if found else None for found in nodes]
