"""The save/load protocol for models of other frameworks."""

from abc import ABC, abstractmethod
from typing import Any

import pandas as pd


class CustomModel(ABC):
    """A model that saves and loads itself.

    Subclassing it is the consent to be loaded from a store: a payload can name no other class.
    The class must be importable by the name under which it was defined. `load` gets bytes that may
    come from anyone and must not execute them: no pickle, no eval.

    Example:
        class Mean(CustomModel):
            def __init__(self, value: float) -> None:
                self.value = value

            def predict(self, features: pd.DataFrame) -> Any:
                return np.full(len(features), self.value)

            def save(self) -> bytes:
                return json.dumps(self.value).encode()

            @classmethod
            def load(cls, payload: bytes) -> "Mean":
                return cls(float(json.loads(payload)))

    A classifier also has `classes_` and may have `predict_proba`.
    """

    @abstractmethod
    def predict(self, features: pd.DataFrame) -> Any:
        """Gives (rows,) classes or values."""

    @abstractmethod
    def save(self) -> bytes:
        """Gives the same bytes for the same model."""

    @classmethod
    @abstractmethod
    def load(cls, payload: bytes) -> "CustomModel":
        """Inverse of `save`."""
