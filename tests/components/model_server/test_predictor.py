"""What a challenger that hangs takes from the champion: nothing."""

import asyncio
import time
from pathlib import Path

from kserve import InferInput, InferRequest

from components.model_server.config import ServerConfig
from components.model_server.predictor import Predictor
from components.traffic import variant_of
from tests.components.model_server.asking import HALF, served_pair
from tests.components.model_server.behaving import request, store

_HUNG = 8


def of(label: str) -> InferRequest:
    """A request that this variant answers."""
    shares = tuple(sorted(HALF.items()))
    name = next(n for n in map(str, range(99)) if variant_of(shares, n) == label)
    tensors = request(name)["inputs"]
    inputs = [InferInput(t["name"], t["shape"], t["datatype"], t["data"]) for t in tensors]
    return InferRequest("model", inputs)


def test_a_challenger_that_hangs_holds_up_nobody_and_is_counted(tmp_path: Path):
    uris = [store(tmp_path / "1", 1.0), store(tmp_path / "2", 2.0, sleep_s=6.0)]
    models = served_pair(str(tmp_path / "pushed"), uris)
    predictor = Predictor(ServerConfig("m"), models)

    async def ask() -> tuple[float, list[object]]:
        await predictor.predict(of("champion"))  # imports what it needs
        slow = (asyncio.wait_for(predictor.predict(of("challenger")), 2.0) for _ in range(_HUNG))
        hung = asyncio.gather(*slow, return_exceptions=True)
        await asyncio.sleep(0.1)
        started = time.monotonic()
        for _ in range(5):
            answer = await predictor.predict(of("champion"))
            assert answer.parameters == {"label": "champion"}
        return time.monotonic() - started, await hung

    seconds, given_up = asyncio.run(ask())
    assert seconds < 1.5
    assert [type(error) for error in given_up] == [TimeoutError] * _HUNG
    champion, challenger = models.metrics()
    assert (champion.requests, champion.errors) == (6, 0)
    assert (challenger.requests, challenger.errors) == (_HUNG, _HUNG)
