"""A run as events of OpenLineage: the pipeline is the parent, each node a job with datasets."""

import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.errors import BeamfleetError
from components.files import write_whole
from pipelines.credentials import cleaned, without_credentials
from pipelines.metadata import Node, Run
from pipelines.openlineage_datasets import input_datasets, output_datasets
from pipelines.parameters import code

PRODUCER = "urn:beamfleet:pipelines"
NAMESPACE = "beamfleet"
_ENDS = {"done": "COMPLETE", "cached": "COMPLETE", "failed": "FAIL", "stopped": "ABORT"}
_RUNS = uuid.uuid5(uuid.NAMESPACE_URL, PRODUCER)


def lineage_events(run: Run) -> list[Any]:
    """START and COMPLETE, FAIL or ABORT of the run and of each of its nodes, in order of time.

    A run has the same ids whenever it is exported: to send it twice changes nothing.

    Args:
      run: As `metadata.read_run` gives it.
    """
    start, *end = _events_of_run(run)
    of_nodes = [event for node in run.nodes for event in _events_of_node(run, node)]
    return [start, *sorted(of_nodes, key=lambda event: str(event.eventTime)), *end]


def write_events(events: Sequence[Any], file: Path) -> None:
    """Writes one JSON document a line, all or nothing.

    Raises:
      BeamfleetError: the file is there already.
    """
    from openlineage.client.serde import Serde

    if file.exists():
        raise BeamfleetError(f"{file} is there already; give a new file")
    lines = "".join(f"{Serde.to_json(event)}\n" for event in events)
    write_whole(str(file), lines.encode())


def send_events(events: Sequence[Any], url: str, api_key: str | None) -> None:
    """Posts the events to `<url>/api/v1/lineage`, one after the other.

    Args:
      events: As `lineage_events` gives them.
      url: Of the server.
      api_key: Bearer token, or None.

    Raises:
      BeamfleetError: the server is away or refuses; says how many it took.
    """
    from openlineage.client.transport.http import HttpConfig, HttpTransport

    auth = {"auth": {"type": "api_key", "apiKey": api_key}} if api_key else {}
    transport = HttpTransport(HttpConfig.from_dict({"url": url, "retry": {"total": 2}, **auth}))
    for sent, event in enumerate(events):
        try:
            transport.emit(event)
        except Exception as error:
            raise BeamfleetError(
                f"{without_credentials(url)} took {sent} of {len(events)} events: "
                f"{without_credentials(str(error))}; send them again, the ids stay the same"
            ) from None


def _events_of_run(run: Run) -> Iterator[Any]:
    from openlineage.client.event_v2 import Job, RunEvent, RunState
    from openlineage.client.event_v2 import Run as LineageRun

    job = Job(NAMESPACE, run.pipeline, _job_facets("DAG", {}))
    which = LineageRun(_run_id(run), {})
    yield RunEvent(
        eventTime=_time(run.started), run=which, job=job, eventType=RunState.START,
        producer=PRODUCER,
    )  # fmt: skip
    if run.state in _ENDS:
        yield RunEvent(
            eventTime=_time(run.started + _length(run)), run=which, job=job,
            eventType=RunState[_ENDS[run.state]], producer=PRODUCER,
        )  # fmt: skip


def _length(run: Run) -> float:
    """Until the last node's end: what the run took otherwise lies before the first one."""
    return max((n.started + n.seconds for n in run.nodes), default=run.started) - run.started


def _events_of_node(run: Run, node: Node) -> Iterator[Any]:
    from openlineage.client.event_v2 import Job, RunEvent, RunState
    from openlineage.client.event_v2 import Run as LineageRun

    job = Job(NAMESPACE, f"{run.pipeline}.{node.name}", _job_facets("TASK", code(node.parameters)))
    which = LineageRun(_run_id(run, node), _run_facets(run, node))
    read = input_datasets(run, node)
    yield RunEvent(
        eventTime=_time(node.started), run=which, job=job, inputs=read, outputs=[],
        eventType=RunState.START, producer=PRODUCER,
    )  # fmt: skip
    if node.state in _ENDS:
        yield RunEvent(
            eventTime=_time(node.started + node.seconds), run=which, job=job, inputs=read,
            outputs=output_datasets(node), eventType=RunState[_ENDS[node.state]],
            producer=PRODUCER,
        )  # fmt: skip


def _job_facets(kind: str, functions: dict[str, str]) -> dict[str, Any]:
    from openlineage.client.generated.base import JobFacet
    from openlineage.client.generated.job_type_job import JobTypeJobFacet

    facets: dict[str, Any] = {
        "jobType": JobTypeJobFacet("BATCH", "BEAMFLEET", kind, producer=PRODUCER)
    }
    if functions:  # what ran, and the hash of its source
        named = {name.replace(".", "_"): value for name, value in cleaned(functions).items()}
        facets["beamfleet_code"] = JobFacet(producer=PRODUCER).with_additional_properties(**named)
    return facets


def _run_facets(run: Run, node: Node) -> dict[str, Any]:
    from openlineage.client.generated import parent_run
    from openlineage.client.generated.error_message_run import ErrorMessageRunFacet
    from openlineage.client.generated.tags_run import TagsRunFacet, TagsRunFacetFields

    tags = [
        TagsRunFacetFields("beamfleet_run", run.run_id, "BEAMFLEET"),
        TagsRunFacetFields("cached", str(node.state == "cached").lower(), "BEAMFLEET"),
    ]
    facets: dict[str, Any] = {
        "parent": parent_run.ParentRunFacet(
            parent_run.Run(_run_id(run)), parent_run.Job(NAMESPACE, run.pipeline), producer=PRODUCER
        ),
        "tags": TagsRunFacet(tags, producer=PRODUCER),
    }
    if node.error:
        message = without_credentials(node.error)
        facets["errorMessage"] = ErrorMessageRunFacet(message, "python", producer=PRODUCER)
    return facets


def _run_id(run: Run, node: Node | None = None) -> str:
    root = Path(run.root).absolute()
    return str(uuid.uuid5(_RUNS, f"{root} {run.run_id} {node.name if node else ''}"))


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
