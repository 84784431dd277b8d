"""Imports of heavy libraries: the garbage collector meanwhile, and what nobody uses of them."""

import gc
import importlib.util
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

_TFX_COMPONENTS = "tfx.components"
_lock = threading.RLock()


@contextmanager
def heavy_imports() -> Iterator[None]:
    """Holds the garbage collector back, and has it pass over what is there at the end for good.

    Modules are no garbage, and those of TFX are two million objects: looking through them takes a
    third of the seconds of their import, and 0.3 s each later time in the midst of the work.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def tfx_imports() -> Iterator[None]:
    """`heavy_imports` for what needs TFX and Beam: without what nobody uses of them."""
    with heavy_imports():
        _without_all_of_tfx()
        _without_torch()
        yield


def _without_all_of_tfx() -> None:
    """Has `tfx.components` import all stock components, and Kubernetes with them, only if asked.

    Every import of one of its modules would; we use two or three. What a user's module takes from
    the package itself is still there.
    """
    spec = importlib.util.find_spec(_TFX_COMPONENTS) if _TFX_COMPONENTS not in sys.modules else None
    if spec is not None:
        package = importlib.util.module_from_spec(spec)
        package.__class__ = _OnDemand
        sys.modules[_TFX_COMPONENTS] = sys.modules["tfx"].components = package  # type: ignore[attr-defined]


class _OnDemand(ModuleType):
    """A package whose own code runs when a name is missing."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        with _lock:
            if type(self) is _OnDemand:
                assert self.__spec__ is not None and self.__spec__.loader is not None
                self.__class__ = ModuleType  # type: ignore[assignment]
                self.__spec__.loader.exec_module(self)
        return getattr(self, name)


def _without_torch() -> None:
    """Imports Beam's RunInference without PyTorch, which Beam wants for a manager of GPU memory.

    Beam imports that manager again when it is asked for it.
    """
    if "torch" in sys.modules:
        return
    import apache_beam  # whatever else it imports may have PyTorch

    sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        import apache_beam.ml.inference.base  # noqa: F401
    finally:
        del sys.modules["torch"]
