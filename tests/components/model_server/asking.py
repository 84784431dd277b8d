"""A predictor without a server."""

import asyncio
from collections.abc import Sequence
from typing import Any

from kserve import InferInput, InferRequest, InferResponse

from components.model_server.config import ServerConfig
from components.model_server.predictor import Predictor
from components.model_server.served import ServedModels
from components.pusher.traffic import traffic_plan
from components.pusher.versions import PushedVersions

HALF = {"champion": 1, "challenger": 1}


def served_pair(directory: str, uris: Sequence[str]) -> ServedModels:
    """Two versions that share the requests, loaded."""
    pushed = PushedVersions(directory)
    for number, uri in enumerate(uris):
        pushed.push(uri, uri, number, keep=5, plan=traffic_plan(HALF))
    models = ServedModels(directory, 1 << 20)
    models.served.servable.load()
    models.refresh()
    return models


def answers(
    models: ServedModels, body: dict[str, Any], ids: Sequence[str]
) -> dict[str, InferResponse]:
    """What each request id is answered."""
    predictor = Predictor(ServerConfig("m"), models)
    inputs = [InferInput(t["name"], t["shape"], t["datatype"], t["data"]) for t in body["inputs"]]

    async def ask() -> dict[str, InferResponse]:
        return {i: await predictor.predict(InferRequest("model", inputs, i)) for i in ids}

    return asyncio.run(ask())
