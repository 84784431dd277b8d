"""Small stores of entity models."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from components.entity_models.codecs import encode
from components.entity_models.custom import CustomModel
from components.entity_models.spec import ModelSpec
from components.entity_models.store import IndexEntry, ShardWriter, commit

SPEC = ModelSpec(("education",), "income", "regression", (("age", "double"),))


class Constant(CustomModel):
    def __init__(self, value: float) -> None:
        self.value = value

    def predict(self, features: pd.DataFrame) -> Any:
        return np.full(len(features), self.value)

    def save(self) -> bytes:
        return json.dumps(self.value).encode()

    @classmethod
    def load(cls, payload: bytes) -> "Constant":
        return cls(float(json.loads(payload)))


def make_store(folder: Path, values: Mapping[str, float], spec: ModelSpec = SPEC) -> str:
    """A store with one constant model an entity; entity "" is the fallback."""
    writers = [ShardWriter(str(folder), shard, 2) for shard in range(2)]
    for place, (entity, value) in enumerate(values.items()):
        framework, payload = encode(Constant(value))
        entry = IndexEntry(
            kind="entity" if entity else "fallback",
            entity=entity,
            status="trained",
            rows=1,
            framework=framework,
        )
        writers[place % 2].add(entry, payload)
    commit(str(folder), spec, [e for w in writers for e in w.close()], {"entities": len(values)})
    return str(folder)
