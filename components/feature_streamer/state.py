"""What the streams hold, and the histories before them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from components.errors import BeamfleetError
from components.feature_computer.declared import (
    Features,
    data_fingerprint,
    declared,
    definition_fingerprint,
    sources_of,
    store_id,
)
from components.features.source import JsonLines, Source
from components.online_store import online_store_of
from components.outside import Inputs, Parameters, State


def state(parameters: Parameters, inputs: Inputs) -> State:
    """The definitions, the files of histories and streams, and which stores these are.

    Raises:
      BeamfleetError: a definition or a file cannot be found, or the online store does not answer.
    """
    features, store = declared(parameters["features"]), Path(parameters["store"])
    online = online_store_of(store)
    try:
        online_id = online.id()
    finally:
        online.close()
    return {
        "definition_fingerprint": definition_fingerprint(features),
        "data_fingerprint": data_fingerprint(sources_of(features)),
        "stream_fingerprint": data_fingerprint(streams_of(features)),
        "store_id": store_id(store),
        "online_id": online_id,
    }


def streams_of(features: Features) -> Iterator[Source]:
    """The sources, as they are read from their streams.

    Raises:
      BeamfleetError: a source has no stream of files.
    """
    for source in sources_of(features):
        if not isinstance(source.stream, JsonLines):
            raise BeamfleetError(
                f"source {source.name!r} has no stream of files: "
                'Source(..., stream=JsonLines("data/stream"))'
            )
        yield replace(source, batch=source.stream)
