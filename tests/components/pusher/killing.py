"""Processes that die at a chosen change of a directory."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

_TOUCHES = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir"}


def killed(directory: str | Path, at: int, act: Callable[..., object], *given: object) -> bool:
    """Acts in a process that dies before its n-th change of the directory; False: it lived."""
    child = os.fork()
    if child == 0:
        left = at

        def kill(event: str, args: tuple[object, ...]) -> None:
            nonlocal left
            if event not in _TOUCHES or (event == "open" and args[1] in ("r", "rb")):
                return
            if any(str(arg).startswith(str(directory)) for arg in args):
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(kill)
        act(*given)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)
