"""Models that load well and serve badly; defined here so that a server can import them."""

import os
import sys
import time
from typing import Any

import numpy as np
import pandas as pd

from components.entity_models.custom import CustomModel


class _Constant(CustomModel):
    """Predicts the first class, and keeps nothing."""

    classes_ = np.array(["<=50K", ">50K"], dtype=object)

    def predict(self, features: pd.DataFrame) -> Any:
        return np.full(len(features), "<=50K", dtype=object)

    def save(self) -> bytes:
        return b"constant"

    @classmethod
    def load(cls, payload: bytes) -> "_Constant":
        return cls()


class Constant(_Constant):
    pass


class Slow(_Constant):
    def predict(self, features: pd.DataFrame) -> Any:
        time.sleep(0.06)
        return super().predict(features)


class Crashing(_Constant):
    def predict(self, features: pd.DataFrame) -> Any:
        if in_server():
            print("out of everything", file=sys.stderr, flush=True)
            os._exit(3)
        return super().predict(features)


class Skewed(_Constant):
    def predict(self, features: pd.DataFrame) -> Any:
        predicted = super().predict(features)
        return np.full_like(predicted, ">50K") if in_server() else predicted


class Picky(_Constant):
    def predict(self, features: pd.DataFrame) -> Any:
        if (features["age"] < 85).any():
            raise ValueError("too young")
        return super().predict(features)


def in_server() -> bool:
    return "components.model_server" in sys.orig_argv
