"""Turns models into bytes and back. Nothing in a payload is ever executed."""

import importlib
import sys
from collections.abc import Callable

from components.entity_models.custom import CustomModel
from components.errors import BeamfleetError

_CUSTOM = "custom:"
_CODECS = {
    "sklearn": "graph",
    "xgboost": "xgboost_codec",
    "lightgbm": "lightgbm_codec",
    "keras": "keras_codec",
}


def encode(model: object) -> tuple[str, bytes]:
    """Gives the framework and the bytes of a fitted model.

    The same model gives the same bytes, in any process.

    Raises:
      BeamfleetError: no codec knows this kind of model.
    """
    if isinstance(model, CustomModel):
        dotted = f"{type(model).__module__}.{type(model).__qualname__}"
        if _custom_class(dotted) is not type(model):
            raise BeamfleetError(f"cannot save a {dotted}: importing that name gives another class")
        return _CUSTOM + dotted, model.save()
    framework = _framework_of(model)
    return framework, _codec(framework)[0](model)


def decode(framework: str, payload: bytes) -> object:
    """Inverse of `encode`.

    Raises:
      BeamfleetError: the framework is unknown, or the payload is not what it should be.
    """
    if framework.startswith(_CUSTOM):
        kind = _custom_class(framework.removeprefix(_CUSTOM))
        try:
            return kind.load(payload)
        except Exception as error:  # the author's code: anything may come out of it
            raise BeamfleetError(
                f"{kind.__qualname__}.load failed ({type(error).__name__}: {error}); restore the "
                "artifact"
            ) from error
    return _codec(framework)[1](payload)


def _framework_of(model: object) -> str:
    """By the module that defines the class, so that no framework is imported to find out."""
    for kind in type(model).__mro__:
        package = kind.__module__.partition(".")[0]
        if package in _CODECS and package != "sklearn":
            return package
        if package == "sklearn" or kind.__module__.startswith("components.entity_models"):
            return "sklearn"
    raise BeamfleetError(
        f"cannot save a {type(model).__module__}.{type(model).__qualname__}: expected a "
        "scikit-learn, XGBoost, LightGBM or Keras model, or a subclass of "
        "components.entity_models.custom.CustomModel"
    )


def _codec(framework: str) -> tuple[Callable[[object], bytes], Callable[[bytes], object]]:
    module_name = _CODECS.get(framework)
    if module_name is None:
        raise BeamfleetError(f"no codec for framework {framework!r}; restore the artifact")
    module = importlib.import_module(f"components.entity_models.{module_name}")
    return module.encode, module.decode


def _custom_class(dotted: str) -> type[CustomModel]:
    """Finds an installed subclass of CustomModel; that base class is the author's consent."""
    module_name, _, name = dotted.rpartition(".")
    if not module_name or module_name.partition(".")[0] in sys.stdlib_module_names:
        raise BeamfleetError(f"{dotted!r} is not a model class")
    try:
        kind = getattr(importlib.import_module(module_name), name, None)
    except ImportError as error:
        raise BeamfleetError(
            f"the model needs the class {dotted!r}, which cannot be imported here: {error}"
        ) from error
    if not (isinstance(kind, type) and issubclass(kind, CustomModel)) or kind is CustomModel:
        raise BeamfleetError(f"{dotted!r} is not a subclass of CustomModel")
    return kind
