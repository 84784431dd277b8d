"""TensorBoard inside this process. Imports no TensorFlow, which takes ten times as long."""

import sys
import types
from pathlib import Path

from components.errors import BeamfleetError

_PLUGINS = (
    "timeseries", "scalars", "custom_scalars", "images", "graphs", "distributions", "histograms",
    "text", "pr_curves", "hparams",
)  # fmt: skip
"""These only draw what the logs hold: no profiler, no debugger, nothing that others installed."""


def serve_logs(folder: Path, port: int) -> str:
    """Starts to serve event files on the loopback, in a thread; gives the address.

    Args:
      folder: Where event files lie, at any depth.
      port: 0 takes any free one.

    Raises:
      BeamfleetError: the port is taken.
    """
    # By this module TensorBoard knows that it is to read the files without TensorFlow.
    sys.modules.setdefault("tensorboard.compat.notf", types.ModuleType("notf"))
    from tensorboard import default, program
    from tensorboard.plugins.core import core_plugin

    static = default.get_static_plugins()
    wanted = [plugin for plugin in static if getattr(plugin, "plugin_name", "") in _PLUGINS]
    board = program.TensorBoard(plugins=[core_plugin.CorePluginLoader(), *wanted])
    place = ["--logdir", str(folder), "--host", "127.0.0.1", "--port", str(port)]
    # Its data server would listen on a second port, and is faster for gigabytes only.
    board.configure(argv=["tensorboard", *place, "--load_fast", "false"])
    try:
        return str(board.launch())
    except program.TensorBoardServerException as error:
        raise BeamfleetError(f"{error.msg.strip()}; choose another --port, or 0") from None
