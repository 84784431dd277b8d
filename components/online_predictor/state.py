"""The pushed version that predicts, and the rows it is asked about."""

from pathlib import Path

from components.feature_computer.declared import data_fingerprint
from components.features.source import Parquet, Source
from components.outside import Inputs, Parameters, State
from components.pusher.versions import PushedVersions


def state(parameters: Parameters, inputs: Inputs) -> State:
    """The current version, and the files.

    Raises:
      BeamfleetError: the pushed directory is broken, or there are no files.
    """
    current = PushedVersions(parameters["push_destination"]).current()
    return {
        "model_version": current.number if current else 0,
        "input_fingerprint": data_fingerprint([requests_at(Path(parameters["requests"]))]),
    }


def requests_at(path: Path) -> Source:
    """The files of the requests."""
    return Source("requests", Parquet(path), event_time="ts")
