"""A run as a run of MLflow: parameters, metrics, tags and where its models lie."""

import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from components.errors import BeamfleetError
from pipelines.credentials import cleaned, without_credentials
from pipelines.evaluated_rows import evaluator_of
from pipelines.metadata import Run
from pipelines.parameters import code, flat
from pipelines.summary import Summary, summarise

RUN_TAG, ROOT_TAG = "beamfleet.run", "beamfleet.root"
_STATUS = {"done": "FINISHED", "failed": "FAILED", "stopped": "KILLED", "running": "RUNNING"}
_MODELS = ("Model", "PushedModel")
_LONGEST_VALUE, _LONGEST_NAME = 500, 250
"""Characters that every version of MLflow takes."""
_TABLES = ("entities", "slices", "fairness")
_BATCH = 100
"""Parameters or tags that a server takes at once."""


def export_to_mlflow(run: Run, tracking_uri: str) -> str:
    """Writes a run into a tracking store; gives the id that it has there.

    Args:
      run: As `metadata.read_run` gives it.
      tracking_uri: `file:///folder` or `http(s)://server`; what MLflow reads from the environment,
        such as MLFLOW_TRACKING_TOKEN, is obeyed.

    Raises:
      BeamfleetError: the run is there already, or has not ended.
    """
    if run.state == "running":
        raise BeamfleetError(f"run {run.run_id} is not done yet; export it then")
    # Set before the import: MLflow would tell its makers, and refuse files.
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=tracking_uri)
    experiment = _experiment(client, run)
    summary = summarise(run)
    made = client.create_run(
        experiment,
        start_time=int(run.started * 1000),
        tags={RUN_TAG: run.run_id, ROOT_TAG: str(Path(run.root).absolute()), **_tags(run, summary)},
        run_name=run.run_id,
    )
    made_id = str(made.info.run_id)
    try:
        _log(client, made_id, run, summary)
    except BaseException:
        client.set_terminated(made_id, "FAILED")
        client.delete_run(made_id)  # nothing half-done is to be seen
        raise
    client.set_terminated(made_id, _STATUS[run.state], int((run.started + run.seconds) * 1000))
    return made_id


def _experiment(client: Any, run: Run) -> str:
    """The pipeline's experiment, in which this run is not yet."""
    known = client.get_experiment_by_name(run.pipeline)
    if known is None:
        return str(client.create_experiment(run.pipeline))
    root = str(Path(run.root).absolute())
    wanted = f"tags.`{RUN_TAG}` = '{run.run_id}'"
    for other in client.search_runs([known.experiment_id], wanted):
        if other.data.tags.get(ROOT_TAG) == root:
            raise BeamfleetError(
                f"run {run.run_id} of {root} is there already, as MLflow run {other.info.run_id}"
            )
    return str(known.experiment_id)


def _log(client: Any, made: str, run: Run, summary: Summary) -> None:
    from mlflow.entities import Metric, Param

    time = int((run.started + run.seconds) * 1000)
    metrics = [Metric(_name(name), value, time, 0) for name, value in _metrics(run, summary)]
    params = [Param(name, value) for name, value in _params(run).items()]
    for start in range(0, max(len(params), len(metrics)), _BATCH):
        chunk = slice(start, start + _BATCH)
        client.log_batch(made, metrics=metrics[chunk], params=params[chunk])
    for name, rows in _tables(run).items():
        client.log_table(made, data=rows, artifact_file=f"{name}.json")
    outputs = {
        node.name: {a.key: {"type": a.type, "uri": a.uri, **a.properties} for a in node.outputs}
        for node in run.nodes
    }
    client.log_dict(made, cleaned(outputs), "artifacts.json")


def _params(run: Run) -> dict[str, str]:
    found = {}
    for node in run.nodes:
        for name, value in flat(node.parameters).items():
            text = value if isinstance(value, str) else json.dumps(value)
            found[_name(f"{node.name}.{name}")] = without_credentials(text)[:_LONGEST_VALUE]
    return found


def _tags(run: Run, summary: Summary) -> dict[str, str]:
    tags = {"beamfleet.state": run.state, "beamfleet.cached": ", ".join(summary.cached)}
    for node in run.nodes:
        for name, value in code(node.parameters).items():
            tags[_name(f"code.{node.name}.{name}")] = value
        for artifact in node.outputs:
            if artifact.type in _MODELS:
                tags[_name(f"model.{node.name}.{artifact.key}")] = artifact.uri
    if summary.push.get("pushed"):
        tags["pushed"] = f"{summary.push['directory']}/{summary.push['version']}"
    for section in ("evaluation", "captions", "infra"):
        if "blessed" in (values := getattr(summary, section)):
            tags[f"blessed.{section}"] = str(values["blessed"])
    return {name: without_credentials(value) for name, value in tags.items() if value}


def _metrics(run: Run, summary: Summary) -> Iterator[tuple[str, float]]:
    overall: Mapping[str, Any] = (summary.evaluation or summary.captions).get("overall", {})
    found = {
        f"{model}/{name}": v for model, values in overall.items() for name, v in values.items()
    }
    for section in ("examples", "training", "infra", "inference"):
        for name, value in getattr(summary, section).items():
            found[f"{section}/{name}"] = value
    found |= {f"seconds/{node.name}": node.seconds for node in run.nodes}
    found["seconds/all"] = run.seconds
    for name, value in found.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if number and math.isfinite(value):
            yield name, float(value)


def _tables(run: Run) -> dict[str, dict[str, list[Any]]]:
    """One table of all entities, one of all slices: not a metric for each."""
    import pyarrow.parquet as pq

    node = evaluator_of(run)
    evaluation = node.output("evaluation") if node else None
    tables = {}
    for name in _TABLES if evaluation else ():
        file = Path(evaluation.uri, f"{name}.parquet") if evaluation else None
        if file and file.exists() and (table := pq.read_table(file)).num_rows:
            tables[name] = table.to_pydict()
    return tables


def _name(name: str) -> str:
    """What MLflow takes for a name."""
    return re.sub(r"[^\w\-. /:]", "_", name)[:_LONGEST_NAME]
