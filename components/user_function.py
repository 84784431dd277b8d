"""Finds the functions that a user writes, by dotted path."""

import hashlib
import importlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from components.errors import BeamfleetError


def load_function(dotted_path: str) -> Callable[..., Any]:
    """Imports `package.module.function`.

    Raises:
      BeamfleetError: the path has no dot, the module is missing or the name is not a function.
    """
    module_name, _, name = dotted_path.rpartition(".")
    if not module_name:
        raise BeamfleetError(
            f"{dotted_path!r} is not a dotted path; write it as 'user_code.census.train_fn'"
        )
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not module_name.startswith(error.name):
            raise  # the user's module exists, but one of its own imports does not
        raise BeamfleetError(
            f"no module {error.name!r} for {dotted_path!r}; it must be importable from the folder "
            "of the pipeline file"
        ) from None
    function = getattr(module, name, None)
    if not callable(function):
        raise BeamfleetError(f"module {module_name!r} has no function {name!r}")
    return function  # type: ignore[no-any-return]


def code_fingerprint(dotted_path: str) -> str:
    """SHA-256 over the Python files beside the function's own file.

    A cached or reused result must not outlive a change of the code that made it. The whole folder
    counts, because the function may call its neighbours.
    """
    source = Path(inspect.getfile(inspect.unwrap(load_function(dotted_path))))
    digest = hashlib.sha256(dotted_path.encode())
    for path in sorted(source.parent.rglob("*.py")):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(source.parent).as_posix()}:{content}\n".encode())
    return digest.hexdigest()
