"""Asks one variant, and counts what comes of it."""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, TypeAlias

from components.model_server.requests import RequestError, Tensor
from components.model_server.routes import Served
from components.model_server.servable import Limits
from components.model_server.workers import Workers

Outputs: TypeAlias = list[dict[str, Any]]


@dataclass(frozen=True)
class Asked:
    """What a variant is asked for."""

    inputs: Sequence[Tensor]
    wanted: Sequence[str]
    """Names of outputs; the predictions come in any case, because they are counted."""
    limits: Limits


async def counted_answer(workers: Workers, served: Served, asked: Asked) -> Outputs:
    """Has a variant answer in a thread, and counts the request and its seconds there.

    A request that is given up, because it takes too long, is an error as well as one whose rows
    have no prediction; one that does not fit the model is the client's, and not counted.

    Raises:
      RequestError, UnreadableModelError: see `Servable.answer`.
    """
    begun = [time.monotonic()]  # while it waits for a thread

    def run() -> Outputs:
        begun[0] = time.monotonic()
        outputs = _answer(served, asked)
        served.metrics.record(time.monotonic() - begun[0], False, predictions(outputs, served))
        return outputs

    future: Future[Outputs] = workers.submit(run)
    try:
        return await asyncio.wrap_future(future)
    except BaseException as error:  # CancelledError too: nobody waits for it any more
        theirs = isinstance(error, RequestError) and error.status < HTTPStatus.UNPROCESSABLE_ENTITY
        if not theirs:
            served.metrics.record(time.monotonic() - begun[0], failed=True)
        raise


def predictions(outputs: Outputs, served: Served) -> Sequence[Any]:
    """The predictions of the rows; of a model that has no such output nothing."""
    name = served.servable.predicted
    return next((tensor["data"] for tensor in outputs if tensor["name"] == name), ())


def _answer(served: Served, asked: Asked) -> Outputs:
    more = served.servable.predicted
    outputs = [*asked.wanted, *([more] if more and more not in asked.wanted else [])]
    limits = replace(asked.limits, version=served.version)
    return served.servable.answer(asked.inputs, outputs, limits)
