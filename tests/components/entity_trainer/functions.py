"""Train functions of the tests: tiny, and some of them hostile."""

import json
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np

from components.entity_models.custom import CustomModel


class Constant(CustomModel):
    """Predicts one value; tells in its bytes what it was trained on."""

    def __init__(self, value: Any, seen: Any = None) -> None:
        self.value = value
        self.seen = seen

    @property
    def classes_(self):
        return np.array([self.value])

    def predict(self, features):
        return np.full(len(features), self.value)

    def save(self):
        return json.dumps([self.value, self.seen]).encode()

    @classmethod
    def load(cls, payload):
        return cls(*json.loads(payload))


def _plain(value):
    return value.item() if hasattr(value, "item") else value


def constant(examples, hparams):
    """The first row's label; remembers the rows in the order that it got them."""
    rows = examples.features.astype(object).where(examples.features.notna(), None)
    seen = {
        "entity": examples.entity,
        "rows": [[_plain(v) for v in row] for row in rows.to_numpy()],
        "label": [_plain(v) for v in examples.label],
        "types": [str(t) for t in examples.features.dtypes],
        "classes": list(examples.classes),
        "index": [int(examples.features.index[0]), int(examples.label.index[-1])],
        "hparams": dict(hparams),
    }
    return Constant(_plain(examples.label.iloc[0]), seen)


def busy(examples, hparams):
    """Burns 0.15 s of CPU on one entity, and sleeps on the others."""
    until = time.process_time() + 0.15
    while examples.entity == "busy" and time.process_time() < until:
        pass
    time.sleep(0 if examples.entity == "busy" else 0.2)
    return constant(examples, hparams)


def unseeded(examples, hparams):
    return Constant(random.random() + float(np.random.random()))


def of_parent(examples, hparams, parent=None):
    return Constant(_plain(examples.label.iloc[0]), (parent and parent.seen) or examples.entity)


def tree(examples, hparams):
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    kind = DecisionTreeClassifier if examples.classes else DecisionTreeRegressor
    encoder = OneHotEncoder(handle_unknown="ignore")
    return make_pipeline(encoder, kind(max_depth=3, random_state=0)).fit(
        examples.features, examples.label
    )


def nasty(examples, hparams):
    """Does to its process what the entity's name says."""
    if examples.entity == "raises":
        raise ValueError("no such luck")
    if examples.entity == "exits":
        raise SystemExit(3)
    if examples.entity == "dies":
        os._exit(7)
    if examples.entity == "segfaults":
        os.kill(os.getpid(), signal.SIGSEGV)
    if examples.entity == "memory":
        raise MemoryError("3 GB wanted")
    if examples.entity == "foreign":
        return object()
    if examples.entity == "shuts":
        os.closerange(3, 100)  # deaf and dumb, but alive
        time.sleep(60)
    return constant(examples, hparams)


def killed_once(examples, hparams):
    """Dies at its first try only, as if it had been killed from outside."""
    marker = Path(hparams["marker"])
    if examples.entity == "b" and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return constant(examples, hparams)


def always_fails(examples, hparams):
    raise ValueError("never")


def fails_on_odd(examples, hparams):
    if examples.entity and int(examples.entity) % 2:
        raise ValueError(f"odd {examples.entity}")
    return constant(examples, hparams)


def slow(examples, hparams):
    time.sleep(300)


def boosted(examples, hparams):
    import xgboost

    from components.entity_models.prepared import PreparedModel

    classes, codes = np.unique(examples.label, return_inverse=True)
    prepare = _numbers(examples.features)
    model = xgboost.XGBClassifier(n_estimators=2, max_depth=2, n_jobs=1)
    return PreparedModel(model.fit(prepare.transform(examples.features), codes), prepare, classes)


def light(examples, hparams):
    import lightgbm

    from components.entity_models.prepared import PreparedModel

    classes, codes = np.unique(examples.label, return_inverse=True)
    prepare = _numbers(examples.features)
    model = lightgbm.LGBMClassifier(n_estimators=2, min_child_samples=1, verbose=-1, n_jobs=1)
    return PreparedModel(model.fit(prepare.transform(examples.features), codes), prepare, classes)


def network(examples, hparams):
    import keras

    from components.entity_models.prepared import PreparedModel

    classes, codes = np.unique(examples.label, return_inverse=True)
    prepare = _numbers(examples.features)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, activation="sigmoid")])
    model.compile("sgd", "binary_crossentropy")
    model.fit(prepare.transform(examples.features), codes, epochs=1, verbose=0)
    return PreparedModel(model, prepare, classes)


def _numbers(features):
    from sklearn.compose import make_column_transformer
    from sklearn.preprocessing import MinMaxScaler, OrdinalEncoder

    return make_column_transformer((OrdinalEncoder(), ["job"]), (MinMaxScaler(), ["age"])).fit(
        features
    )
