"""Asks a running model server, row by row, as a payment system would."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from components.errors import BeamfleetError
from components.feature_backfill.source_files import files_of
from components.feature_values.keyed import as_time
from components.feature_vectors.rows import columns_of
from components.features.names import FeatureType
from components.features.service import FeatureService
from components.infra_validator.client import Client
from components.infra_validator.process import ServerError, running_server
from components.online_predictor.state import requests_at

PREDICTIONS = "predictions.parquet"
_DATATYPES: Mapping[FeatureType, str] = {
    str: "BYTES", int: "INT64", float: "FP64", bool: "BOOL", datetime: "BYTES",
}  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """rows_in = rows + rows_failed."""

    rows_in: int
    rows: int
    rows_failed: int
    p50_ms: float
    p99_ms: float


def ask(
    service: FeatureService, model: str, requests: str, time: str, folder: Path, uri: str
) -> Asked:
    """Starts a server on a pushed directory and asks about each row, at the time of the row.

    Args:
      service: That the model was trained with.
      model: Pushed directory.
      requests: Parquet file or folder with the service's keys and request columns.
      time: Column: when the request is made.
      folder: For the server's log.
      uri: Folder of the result: predictions.parquet has the rows, and prediction, probability (of
        the last class), error.

    Raises:
      BeamfleetError: a column is missing, or the server does not start.
    """
    rows = _rows(service, requests, time)
    answers = []
    try:
        with running_server(model, folder) as server:
            server.wait_until_ready()
            with Client(server.port) as client:
                for row in rows.to_dicts():
                    answers.append(client.infer(_request(service, row, row[time])))
                    server.check_alive()
    except ServerError as error:
        raise BeamfleetError(f"online predictions of {model}: {error}") from error
    said = pl.DataFrame([_answer(answer.content, answer.error) for answer in answers], schema=_SAID)
    Path(uri).mkdir(parents=True, exist_ok=True)
    rows.hstack(said).write_parquet(Path(uri, PREDICTIONS), compression="zstd")
    times = pl.Series([answer.milliseconds for answer in answers], dtype=pl.Float64)
    failed = said["error"].count()
    p50, p99 = (round(times.quantile(q) or 0.0, 2) for q in (0.5, 0.99))
    return Asked(rows.height, rows.height - failed, failed, p50, p99)


_SAID = {"prediction": pl.String, "probability": pl.Float64, "error": pl.String}


def _rows(service: FeatureService, requests: str, time: str) -> pl.DataFrame:
    files = files_of(requests_at(Path(requests)))
    rows = pl.concat([pl.read_parquet(file) for file in files], how="vertical_relaxed")
    wanted = [*columns_of(service), time]
    if missing := [name for name in wanted if name not in rows.columns]:
        raise BeamfleetError(
            f"{requests}: no column {', '.join(missing)}, which requests of {service.name!r} need; "
            f"it has {', '.join(rows.columns)}"
        )
    return rows.with_columns(as_time(rows[time], f"{requests}: {time}")).sort(time)


def _request(service: FeatureService, row: Mapping[str, Any], at: datetime) -> dict[str, Any]:
    inputs = [
        {"name": name, "datatype": _DATATYPES[kind], "shape": [1], "data": [_plain(row[name])]}
        for name, kind in columns_of(service).items()
    ]
    return {"inputs": inputs, "parameters": {"request_time": at.isoformat()}}


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _answer(content: Any, error: str) -> dict[str, Any]:
    if error or not isinstance(content, dict) or "outputs" not in content:
        return {"error": error or f"the server answered {json.dumps(content)[:200]}"}
    outputs = {one["name"]: one["data"] for one in content["outputs"]}
    probabilities = outputs.get("probabilities") or [None]
    return {"prediction": str(outputs["prediction"][0]), "probability": probabilities[-1]}
