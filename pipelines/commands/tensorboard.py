"""`beamfleet tensorboard`: the training curves of one run, on this machine only."""

import argparse
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from components.errors import BeamfleetError
from pipelines.finding import find_run
from pipelines.metadata import Run
from pipelines.render import shown

_EVENTS = "**/*.tfevents.*"
_HIGHEST_PORT = 65535


def main(arguments: argparse.Namespace) -> int:
    """Serves until Ctrl-C."""
    if not 0 <= arguments.port <= _HIGHEST_PORT:
        raise BeamfleetError(f"--port is {arguments.port}, expected 0 to {_HIGHEST_PORT}")
    run = find_run(arguments.run, Path(arguments.root))
    logs = _logs(run)
    from pipelines.tensorboard import serve_logs

    with tempfile.TemporaryDirectory(prefix="beamfleet-tensorboard-") as together:
        url = serve_logs(_folder(logs, Path(together)), arguments.port)
        places = ", ".join(map(str, logs.values()))
        print(shown(f"TensorBoard of {run.pipeline} {run.run_id}: {url} (Ctrl-C stops it)"))
        print(shown(f"logs: {places}"), flush=True)
        with suppress(KeyboardInterrupt):
            threading.Event().wait()
    return 0


def _logs(run: Run) -> Mapping[str, Path]:
    """Node -> folder with event files.

    Raises:
      BeamfleetError: no node left any; says how to write them.
    """
    outputs = [(node.name, Path(made.uri)) for node in run.nodes for made in node.outputs]
    logs = {name: folder for name, folder in outputs if next(folder.glob(_EVENTS), None)}
    if not logs:
        raise BeamfleetError(
            f"run {run.run_id} of {run.pipeline} left no logs for TensorBoard. A run_fn writes "
            "them by `model.fit(..., callbacks=[data.tensorboard()])`, where `data` is its "
            "TrainingData, or into `fn_args.model_run_dir`; models for each entity have no curves, "
            f"see `beamfleet show {run.run_id}`"
        )
    return logs


def _folder(logs: Mapping[str, Path], together: Path) -> Path:
    """The only folder, or one with a link to each, by its node."""
    if len(logs) == 1:
        return next(iter(logs.values())).absolute()
    for name, folder in logs.items():
        (together / name).symlink_to(folder.absolute())
    return together
