"""Executor of ExampleValidator."""

import json
import logging
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils

from components.curated_schema.changes import Change
from components.errors import BeamfleetError
from components.example_validator.expressions import Checks
from components.example_validator.proposal import unused_columns, write_proposal
from components.example_validator.stopped import keep_stopped
from components.example_validator.validate import (
    Anomaly,
    SplitStatistics,
    columns_of,
    distances,
    list_anomalies,
    validate_split,
    with_comparators,
)
from components.examples.read import ExamplesSplit
from components.statistics_gen.compute import STATISTICS_FILE

_SHOWN, _KEPT = 10, 100
_ADVICE = "Mend the data or the schema, or validate with on_anomaly='warn'"
_LOG = logging.getLogger(__name__)


class Executor(base_executor.BaseExecutor):
    """Translates ExampleStatistics, Schema and Examples into ExampleAnomalies."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        [statistics] = input_dict["statistics"]
        [artifact] = output_dict["anomalies"]
        schema_folder = artifact_utils.get_single_uri(input_dict["schema"])
        schema = io_utils.SchemaReader().read(io_utils.get_only_uri_in_dir(schema_folder))
        artifact.split_names = statistics.split_names
        artifact.span = statistics.span
        files = {split: _file([statistics], split) for split in _splits(statistics)}
        anomalies = _validate(files, schema, input_dict, artifact, exec_properties)
        found = {split: list_anomalies(split, one) for split, one in anomalies.items()}
        measured = {split: distances(one) for split, one in anomalies.items()}
        _record(found, artifact)
        artifact.set_string_custom_property("distances", json.dumps(measured, sort_keys=True))
        notes = "\n".join(_notes(schema, files, measured, exec_properties.get("drift")))
        if notes:
            artifact.set_string_custom_property("notes", notes)
        changes: list[Change] = []
        if exec_properties.get("reviewed"):
            changes = write_proposal(artifact.uri, schema, list(files.values()))
        columns = [change.column for change in changes]
        artifact.set_string_custom_property("proposed", json.dumps(columns))
        lines = [str(anomaly) for anomalies in found.values() for anomaly in anomalies]
        if lines and exec_properties["on_anomaly"] == "stop":
            run = str(self._context.pipeline_run_id or "") if self._context else ""
            _stop(lines, artifact, {"notes": notes, "proposed": columns}, run)
        if lines:
            _LOG.warning(_listed(lines, artifact.uri))


def _validate(
    files: Mapping[str, str],
    schema: Any,
    input_dict: dict[str, list[types.Artifact]],
    artifact: types.Artifact,
    exec_properties: dict[str, Any],
) -> dict[str, Any]:
    """Split -> its anomalies, which are written."""
    drift, skew = (json.loads(exec_properties.get(name) or "{}") for name in ("drift", "skew"))
    limits = with_comparators(schema, drift, skew)
    checks = Checks.from_json(exec_properties.get("checks") or "")
    anomalies = {}
    for split, file in files.items():
        compared = SplitStatistics(
            file,
            _file(input_dict.get("previous_statistics", []), split),
            _only_file(input_dict.get("serving_statistics", [])),
        )
        failed = _failed(checks, input_dict.get("examples", []), split, file)
        folder = artifact_utils.get_split_uri([artifact], split)
        anomalies[split] = validate_split(compared, limits, folder, failed)
    return anomalies


def _notes(
    schema: Any,
    files: Mapping[str, str],
    measured: Mapping[str, Mapping[str, Mapping[str, float]]],
    drift: str | None,
) -> Iterator[str]:
    yield from unused_columns(schema, columns_of(list(files.values())))
    compared = any("drift" in one for split in measured.values() for one in split.values())
    if json.loads(drift or "{}") and not compared:
        yield "no drift: there is no span before"


def _failed(
    checks: Checks, examples: list[types.Artifact], split: str, statistics: str
) -> list[tuple[str, str]]:
    if not checks:
        return []
    from components.example_validator.evaluate import failed_checks

    [artifact] = examples
    payload = artifact.get_string_custom_property("payload_format")
    return failed_checks(checks, ExamplesSplit(artifact.uri, split, payload), statistics)


def _splits(statistics: types.Artifact) -> list[str]:
    return list(artifact_utils.decode_split_names(statistics.split_names))


def _file(statistics: list[types.Artifact], split: str) -> str:
    """The statistics of a split; empty where there are none."""
    if not statistics or split not in _splits(statistics[0]):
        return ""
    return f"{artifact_utils.get_split_uri(statistics, split)}/{STATISTICS_FILE}"


def _only_file(statistics: list[types.Artifact]) -> str:
    """The statistics of the first split, whatever its name."""
    if not statistics:
        return ""
    [name, *_] = _splits(statistics[0])
    return _file(statistics, name)


def _record(found: dict[str, list[Anomaly]], artifact: types.Artifact) -> None:
    # `blessed` is what the stock ExampleValidator sets.
    blessed = {split: int(not anomalies) for split, anomalies in found.items()}
    artifact.set_json_value_custom_property("blessed", blessed)
    lines = [str(anomaly) for anomalies in found.values() for anomaly in anomalies]
    artifact.set_int_custom_property("anomalies", len(lines))
    artifact.set_json_value_custom_property("found", lines[:_KEPT])


def _stop(
    lines: list[str], artifact: types.Artifact, said: Mapping[str, Any], run: str
) -> NoReturn:
    found = {"anomalies": len(lines), "found": lines[:_KEPT], **said}
    kept = keep_stopped(artifact.uri, run, found)
    proposal = _proposal(said["proposed"], kept, run)
    raise BeamfleetError(f"{_listed(lines, kept)}\n{proposal}{_ADVICE}")


def _proposal(columns: Sequence[str], uri: str, run: str) -> str:
    """Where the proposal is, and how to take it over; empty if there is none."""
    if not columns:
        return ""
    # <root>/artifacts/<node>/..., as the builder lays it out.
    root, _, below = uri.rpartition("/artifacts/")
    here = f"{run} --root {shlex.quote(root)}"
    ways = f"  beamfleet schema diff {here}\n  beamfleet schema accept {here}\n"
    return (
        f"A change of the reviewed schema is proposed, of {', '.join(columns[:_SHOWN])}:\n"
        f"{ways if run and below else f'  {uri}/proposal'}"
    )


def _listed(lines: list[str], uri: str) -> str:
    shown = "\n  ".join([*lines[:_SHOWN], *(["..."] if len(lines) > _SHOWN else [])])
    return f"{len(lines)} anomalies, written to {uri}:\n  {shown}"
