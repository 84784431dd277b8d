"""Tables for the notebooks: what TFDV, TFMA and ML Metadata know of a run, as pandas frames."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from components.errors import BeamfleetError
from pipelines import metadata
from pipelines.evaluated_rows import evaluator_of
from pipelines.finding import LATEST, find_run
from pipelines.lineage import Graph
from pipelines.lineage_walk import Reached
from pipelines.metadata import Artifact, Run
from pipelines.parameters import is_fingerprint
from pipelines.summary import summarise

_MOST_WORDS, _SHORT = 3, 8
_OF_ENTITIES = [
    "entity",
    "rows",
    "metric",
    "value",
    "baseline",
    "fallback_value",
    "verdict",
    "reason",
]


def latest_run(root: str) -> Run:
    """The latest run below a root, which may also be given as seen from the folder above.

    Raises:
      BeamfleetError: there is none; says how to name another root.
    """
    for place in (Path(root), Path("..", root)):
        if (place / metadata.DATABASE).is_file():
            return find_run(LATEST, place)
    raise BeamfleetError(
        f"no runs at {root} (from {Path.cwd()}); start one with `beamfleet run`, or name another "
        "root by BEAMFLEET_ROOT"
    )


def output(run: Run, node: str, key: str) -> Artifact:
    """An output of a node.

    Raises:
      BeamfleetError: the run has no such output; names those that it has.
    """
    found = run.node(node)
    artifact = found.output(key) if found else None
    if artifact is None:
        known = ", ".join(f"{n.name} {a.key}" for n in run.nodes for a in n.outputs)
        raise BeamfleetError(f"run {run.run_id} has no {key!r} of {node}; it has {known}")
    return artifact


def evaluation_of(run: Run) -> Artifact:
    """What the run's evaluator wrote.

    Raises:
      BeamfleetError: the run evaluated nothing.
    """
    node = evaluator_of(run)
    return output(run, node.name if node else "Evaluator", "evaluation")


def feature_table(statistics: Any) -> pd.DataFrame:
    """One row a column of TFDV's statistics (a DatasetFeatureStatisticsList of one dataset)."""
    [dataset] = statistics.datasets
    table = pd.DataFrame([_feature(column) for column in dataset.features])
    return table.set_index("column").fillna("")


def anomalies_of(run: Run) -> dict[str, Any]:
    """Split -> the validator's Anomalies, which `tfdv.display_anomalies` shows."""
    from tensorflow_metadata.proto.v0 import anomalies_pb2

    folder = Path(output(run, "ExampleValidator", "anomalies").uri)
    return {
        file.parent.name.removeprefix("Split-"): anomalies_pb2.Anomalies.FromString(
            file.read_bytes()
        )
        for file in sorted(folder.glob("Split-*/SchemaDiff.pb"))
    }


def drift_table(run: Run) -> pd.DataFrame:
    """Distances between spans, or to the rows to predict, as the validator measured them."""
    anomalies = output(run, "ExampleValidator", "anomalies")
    validator = run.node("ExampleValidator")
    parameters: Mapping[str, Any] = validator.parameters if validator else {}
    limits = {
        kind: json.loads(str(parameters.get(kind) or "{}")) for kind in ("drift", "skew")
    }  # fmt: skip
    measured = json.loads(str(anomalies.properties.get("distances") or "{}"))
    rows = [
        {
            "split": split, "column": column, "compared": kind, "distance": distance,
            "threshold": limits.get(kind, {}).get(column),
        }
        for split, columns in measured.items()
        for column, kinds in columns.items()
        for kind, distance in kinds.items()
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=["split", "column", "compared", "distance", "threshold"])
    table["too far"] = table["distance"] > table["threshold"].astype(float)
    return table.sort_values("distance", ascending=False, ignore_index=True)


def slice_table(result: Any) -> pd.DataFrame:
    """One row a slice of TFMA's result, as `tfma.load_eval_result` gives it; overall first.

    Raises:
      BeamfleetError: the result is empty, which is what TFMA gives for a path that is not there.
    """
    if not result.slicing_metrics:
        raise BeamfleetError("TFMA's result is empty: is the evaluation's folder still there?")
    rows = [row for key, models in result.slicing_metrics for row in _slice(key, models)]
    table = pd.DataFrame(rows)
    table["example_count"] = table["example_count"].astype(int)
    return table.sort_values(
        ["overall", "slice"], ascending=[False, True], ignore_index=True
    ).drop(columns="overall")  # fmt: skip


def model_table(run: Run) -> pd.DataFrame:
    """The metrics of all candidates, of what is pushed, and of the trivial model side by side."""
    summary = summarise(run)
    overall = (summary.evaluation or summary.captions).get("overall", {})
    return pd.DataFrame.from_dict(overall, orient="index")


def entity_table(run: Run) -> pd.DataFrame:
    """One row an entity, worst first; empty for a run of one model."""
    return pd.DataFrame(list(summarise(run).entities), columns=_OF_ENTITIES)


def lineage_table(graph: Graph, reached: Reached) -> pd.DataFrame:
    """One row a step, oldest first: what it ran, read and made; `cached for` counts runs."""
    rows = []
    for step in sorted(reached.steps, key=lambda step: step.id):
        source = graph.source(step)
        made = [graph.artifacts[link.artifact].uri for link in step.outputs]
        rows.append(
            {
                "node": step.node,
                "run": step.run,
                "cached for": len(step.reused_by),
                "code": ", ".join(_code(name, value) for name, value in step.code.items()),
                "files": ", ".join(source.files) if source else "",
                "made": ", ".join(uri.removeprefix(f"{graph.root}/artifacts/") for uri in made),
            }
        )
    return pd.DataFrame(rows)


def _code(name: str, value: str) -> str:
    return f"{name.rpartition('.')[2]} {value[:_SHORT]}…" if is_fingerprint(name) else value


def _feature(column: Any) -> dict[str, Any]:
    number = column.HasField("num_stats")
    stats = column.num_stats if number else column.string_stats
    common = stats.common_stats
    rows = common.num_missing + common.num_non_missing
    found = {
        "column": column.name or ".".join(column.path.step),
        "rows": int(rows),
        "missing": f"{common.num_missing / rows:.1%}" if rows else "",
    }
    if number:
        numbers = {"mean": stats.mean, "min": stats.min, "median": stats.median, "max": stats.max}
        return found | {name: f"{value:.6g}" for name, value in numbers.items()}
    words = [f"{word.value} ({word.frequency:,.0f})" for word in stats.top_values[:_MOST_WORDS]]
    return found | {"distinct": f"{stats.unique:,}", "most frequent": ", ".join(words)}


def _slice(key: tuple[Any, ...], models: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    name = ", ".join(f"{column}={value}" for column, value in key) or "overall"
    for outputs in models.values():
        for metrics in outputs.values():
            values = {metric: _value(value) for metric, value in metrics.items()}
            yield {"slice": name, "overall": not key, **values}


def _value(value: Mapping[str, Any]) -> float | None:
    """TFMA's numbers; 'NaN' where a metric is undefined."""
    number = value.get("doubleValue", value.get("boundedValue", {}).get("value"))
    return None if number is None else float(number)
