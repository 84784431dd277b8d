"""Models of which a test knows the answer, how long it takes, and whether it comes."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from components.entity_models.custom import CustomModel
from components.entity_models.spec import ModelSpec
from tests.components.model_server.stores import write_store

SPEC = ModelSpec(("store",), "sales", "regression", (("price", "double"),))


class Behaving(CustomModel):
    def __init__(self, value: float, sleep_s: float = 0.0, fails: bool = False) -> None:
        self.value, self.sleep_s, self.fails = value, sleep_s, fails

    def predict(self, features: pd.DataFrame) -> Any:
        time.sleep(self.sleep_s)
        if self.fails:
            raise ValueError("this model always fails")
        return np.full(len(features), self.value)

    def save(self) -> bytes:
        return json.dumps([self.value, self.sleep_s, self.fails]).encode()

    @classmethod
    def load(cls, payload: bytes) -> "Behaving":
        return cls(*json.loads(payload))


def store(folder: Path, value: float, **how: Any) -> str:
    """A store of one model for all entities."""
    return write_store(folder, {}, Behaving(value, **how), SPEC)


def request(*stores: str, **more: Any) -> dict[str, Any]:
    """One row for each store."""
    count = len(stores)
    return {
        "inputs": [
            {"name": "store", "shape": [count], "datatype": "BYTES", "data": list(stores)},
            {"name": "price", "shape": [count, 1], "datatype": "FP64", "data": [1.0] * count},
        ],
        **more,
    }
