"""Runs a pipeline whenever there are other rows to read: one run at a time, whatever is killed."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from components.errors import BeamfleetError
from components.example_gen.source import IngestConfig
from components.files import write_json

STATE = "watched.json"


@dataclass(frozen=True)
class Seen:
    """The files of one moment."""

    fingerprint: str
    spans: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"span {self.spans[-1]}" if self.spans else "other files"


class Look:
    """What a run would read now; None where it can read nothing, and says once why."""

    def __init__(self, config: IngestConfig, say: Callable[[str], None]) -> None:
        self._config, self._say, self._said = config, say, ""

    def __call__(self) -> Seen | None:
        from components.example_gen.files import find_files  # imports Beam

        try:
            files = find_files(self._config)
        except (BeamfleetError, OSError) as error:  # OSError: a file that was removed meanwhile
            if str(error) != self._said:
                self._say(f"nothing to read: {error}")
            self._said = str(error)
            return None
        self._said = ""
        return Seen(files.fingerprint, files.spans)


class Watcher:
    """Decides when to run. What was run is kept below the root, so that a restart runs nothing
    twice, and what a killed run left over is run again.
    """

    def __init__(
        self,
        root: Path,
        look: Callable[[], Seen | None],
        run: Callable[[Seen], int],
        is_busy: Callable[[], bool],
    ) -> None:
        """Reads what was run last.

        Args:
          root: Of the runs.
          look: Gives the files of the moment.
          run: Runs the pipeline, and gives its exit status.
          is_busy: Whether another run holds the root.
        """
        self._file, self._look, self._run, self._is_busy = root / STATE, look, run, is_busy
        self._before: Seen | None = None
        self._done = self._read()

    def step(self) -> int | None:
        """Looks once; gives the exit status if it ran the pipeline.

        Files that have changed since the last look are still being written, perhaps. A run that
        failed is not run again on the same files.
        """
        now = self._look()
        settled, self._before = now == self._before, now
        if now is None or not settled or now == self._done or self._is_busy():
            return None
        status = self._run(now)
        self._done = now
        write_json(str(self._file), {**asdict(now), "status": status})
        return status

    def _read(self) -> Seen | None:
        try:
            state = json.loads(self._file.read_text(encoding="utf-8"))
            return Seen(str(state["fingerprint"]), tuple(state["spans"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None
