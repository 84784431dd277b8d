"""Compares ways to save scikit-learn models: ours, pickle behind an allow-list, and skops.

    python -m benchmarks.model_codec --case tree

Prints one JSON line a case; `ratio` is our time to load over that of pickle behind an allow-list,
which is the fastest that can be had. skops is measured where it is installed.

README.md has the figures: ours costs a tenth of a millisecond more a model than pickle, where one
prediction call costs 1 to 2 ms, takes 2.7 to 4.3 times less room, and needs no list of callables
that must withstand any argument.

Why not pickle: the allow-list has to hold against calls with hostile arguments (REDUCE), state set
on classes (BUILD), dotted names, and allocations of the pickle machine itself; and the padding of
scikit-learn's tree nodes and the identity of strings make equal models differ in bytes. Ours names
classes of a list and gives their attributes as data; it calls nothing that a payload chooses.
"""

import argparse
import gc
import hashlib
import io
import json
import pickle
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder
from sklearn.tree import DecisionTreeClassifier

from components.entity_models import graph

CASES = {
    "tree": lambda: DecisionTreeClassifier(max_depth=5, random_state=0),
    "tree-full": lambda: DecisionTreeClassifier(random_state=0),
    "forest": lambda: RandomForestClassifier(50, max_depth=8, random_state=0),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", choices=CASES)
    parser.add_argument("--list", action="store_true", help="name the cases and stop")
    arguments = parser.parse_args()
    for case in [arguments.case] if arguments.case else CASES:
        print(case if arguments.list else json.dumps(measure(case)))


def measure(case: str) -> dict[str, Any]:
    """Saves and loads one fitted pipeline in each way, taking turns."""
    model = _fitted(case)
    ways = dict(_ways())
    saved = {name: save(model) for name, (save, _) in ways.items()}
    rounds = 40 if case == "forest" else 200
    saving: dict[str, list[float]] = {name: [] for name in ways}
    loading: dict[str, list[float]] = {name: [] for name in ways}
    gc.disable()
    for _ in range(rounds):
        for name, (save, load) in ways.items():
            saving[name].append(_seconds(lambda s=save: s(model)))
            loading[name].append(_seconds(lambda r=load, n=name: r(saved[n])))
    gc.enable()
    figures = {
        name: {
            "load_ms": round(float(np.median(loading[name])) * 1000, 3),
            "save_ms": round(float(np.median(saving[name])) * 1000, 3),
            "bytes": len(saved[name]),
            "same_bytes_again": _digest(save(_fitted(case))) == _digest(saved[name]),
            "same_bytes_reloaded": _digest(save(load(saved[name]))) == _digest(saved[name]),
        }
        for name, (save, load) in ways.items()
    }
    ratio = figures["ours"]["load_ms"] / figures["restricted pickle"]["load_ms"]
    return {"case": case, "ratio": round(ratio, 2), **figures}


def _ways() -> Iterator[tuple[str, tuple[Callable[[Any], bytes], Callable[[bytes], Any]]]]:
    yield "ours", (graph.encode, graph.decode)
    yield "restricted pickle", (pickle.dumps, lambda content: _Restricted(content).load())
    if find_spec("skops"):
        from skops import io as skops

        def load(content: bytes) -> Any:
            return skops.loads(content, trusted=skops.get_untrusted_types(data=content))

        yield "skops", (skops.dumps, load)


class _Restricted(pickle.Unpickler):
    """What an allow-list costs; it is not a complete one."""

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content))

    def find_class(self, module: str, name: str) -> Any:
        if module.partition(".")[0] not in ("sklearn", "numpy", "builtins", "copyreg"):
            raise pickle.UnpicklingError(f"{module}.{name}")
        return super().find_class(module, name)


def _fitted(case: str) -> Any:
    rng = np.random.default_rng(0)
    words = rng.choice(np.array(["a", "b", "c", "d"], dtype=object), (400, 3))
    numbers = rng.normal(size=(400, 4))
    frame = pd.DataFrame(words, columns=["u", "v", "w"]).join(pd.DataFrame(numbers).add_prefix("n"))
    score = numbers[:, 0] + (words[:, 0] == "a") + rng.normal(size=400)
    label = np.where(score > 0, ">50K", "<=50K")
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["u", "v", "w"]),
        (MinMaxScaler(), ["n0", "n1", "n2", "n3"]),
    )
    return make_pipeline(columns, CASES[case]()).fit(frame, label)


def _seconds(call: Callable[[], Any]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    main()
