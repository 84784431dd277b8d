"""Asks a challenger what the champion was asked, behind the answer."""

import asyncio
import logging
import time
from dataclasses import replace

from components.model_server.answers import Asked, Outputs, counted_answer, predictions
from components.model_server.routes import Served
from components.model_server.workers import Workers

LOG = logging.getLogger("beamfleet.server")
_MAX_WAITING = 8
"""Requests that are kept for a shadow; while so many wait, others are skipped, and counted."""


_PAUSE = 4
"""Times as long as it worked it rests: under load it takes a fifth of a core, and sees a sample."""


class Shadow:
    """One thread for all shadows; what goes wrong with them is counted, and nothing more."""

    def __init__(self, timeout_s: float) -> None:
        """Gives a shadow so many seconds for an answer."""
        self._timeout_s = timeout_s
        self._workers = Workers(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()
        self._last: Served | None = None

    def follow(self, shadow: Served, asked: Asked, champion: Outputs) -> None:
        """Has the shadow answer the same request later, and compares it with the champion."""
        if shadow is not self._last:
            for task in self._tasks:  # nobody counts an earlier shadow any more
                task.cancel()
            self._workers.close()
            self._workers, self._tasks, self._last = Workers(1), set(), shadow
        if len(self._tasks) >= _MAX_WAITING:
            shadow.metrics.skip()
            return
        task = asyncio.create_task(self._ask(shadow, asked, champion))
        self._tasks.add(task)  # asyncio itself keeps no reference
        task.add_done_callback(lambda done: self._tasks.discard(done))

    async def _ask(self, shadow: Served, asked: Asked, champion: Outputs) -> None:
        async with self._turn:
            started = time.monotonic()
            limits = replace(asked.limits, until=started + self._timeout_s, request_id="")
            again = Asked(asked.inputs, (), limits)
            try:
                async with asyncio.timeout(self._timeout_s):
                    outputs = await counted_answer(self._workers, shadow, again)
                shadow.metrics.compare(predictions(outputs, shadow), predictions(champion, shadow))
            except Exception as error:  # a model may raise anything
                LOG.warning("version %s, a shadow, failed: %s", shadow.version, error)
            await asyncio.sleep(_PAUSE * (time.monotonic() - started))
