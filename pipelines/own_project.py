"""A project for the user's own CSV: which columns there are, and what they ask for."""

import json
import keyword
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template

from components.errors import BeamfleetError
from pipelines.spelling import meant

_MOST_CLASSES = 20
_CLASSIFICATION, _REGRESSION = "classification", "regression"
_METRICS = {_CLASSIFICATION: '["accuracy"]', _REGRESSION: '["mae", "rmse"]'}
_ESTIMATORS = {
    _CLASSIFICATION: ("LogisticRegression", "max_iter=1000"),
    _REGRESSION: ("Ridge", ""),
}
_LABEL_OF_WORDS = """\
    table = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(CLASSES, tf.range(len(CLASSES), dtype=tf.int64)), -1
    )
    outputs[LABEL] = table.lookup(_dense(inputs[LABEL]))"""
_LABEL_OF_INTEGERS = _LABEL_OF_WORDS.replace("(CLASSES, ", "(tf.constant(CLASSES, tf.int64), ")
_LABEL_OF_NUMBERS = "    outputs[LABEL] = tf.cast(_dense(inputs[LABEL]), tf.float32)"
_CLASSES_HEAD = """\
    outputs = keras.layers.Dense(len(CLASSES), activation="softmax")(hidden)
    model = keras.Model(inputs, outputs)
    optimizer = keras.optimizers.Adam(data.hparams["learning_rate"])
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])"""
_NUMBER_HEAD = """\
    labels = np.concatenate([label for _, label in data.train])
    scaled = keras.layers.Dense(1)(hidden)
    outputs = keras.layers.Rescaling(float(labels.std()), float(labels.mean()))(scaled)
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(data.hparams["learning_rate"]), "mse", metrics=["mae"])"""


@dataclass(frozen=True)
class Table:
    """What a CSV holds."""

    file: Path
    columns: tuple[str, ...]
    classes: tuple[str, ...] | tuple[int, ...]
    """Values of the label, sorted; empty: it is a quantity."""

    @property
    def task(self) -> str:
        """Classification or regression."""
        return _CLASSIFICATION if self.classes else _REGRESSION


def read_table(file: Path, label: str, entity: str | None) -> Table:
    """Looks at all rows; words, and at most 20 different integers, are classes.

    Raises:
      BeamfleetError: it cannot be read, or there is no such column.
    """
    import pyarrow as pa
    from pyarrow import csv

    try:
        table = csv.read_csv(file, convert_options=csv.ConvertOptions(strings_can_be_null=True))
    except (OSError, pa.ArrowInvalid) as error:
        raise BeamfleetError(f"{file} cannot be read as CSV with a header: {error}") from None
    if len(set(table.column_names)) < table.num_columns:
        raise BeamfleetError(f"{file} names a column twice: {', '.join(table.column_names)}")
    for name in filter(None, (label, entity)):
        if name not in table.column_names:
            columns = ", ".join(table.column_names)
            hint = meant(name, table.column_names)
            raise BeamfleetError(f"{file} has no column {name!r}, only: {columns}{hint}")
    values = sorted(table[label].drop_null().unique().to_pylist())
    if not values:
        raise BeamfleetError(f"{file}: column {label!r} is empty: there is nothing to learn")
    counted = all(isinstance(value, int) for value in values)
    words = all(isinstance(value, str) for value in values)
    classes = tuple(values) if words or (counted and len(values) <= _MOST_CLASSES) else ()
    return Table(file, tuple(table.column_names), classes)


def own_files(table: Table, name: str, label: str, entity: str | None) -> Mapping[str, str]:
    """Path in the project -> content, of pipeline.py and the file in user_code."""
    module = _module(name)
    kind = "entities" if entity else "model"
    values = _values(table, name, label, entity) | {"module": module}
    folder = resources.files("pipelines") / "templates" / kind
    return {
        path: Template((folder / template).read_text(encoding="utf-8")).substitute(values)
        for path, template in (
            ("pipeline.py", "pipeline.py.txt"),
            (f"user_code/{module}.py", "user_code.py.txt"),
        )
    }


def _values(table: Table, name: str, label: str, entity: str | None) -> dict[str, str]:
    estimator, arguments = _ESTIMATORS[table.task]
    words = bool(table.classes) and isinstance(table.classes[0], str)
    of_classes = _LABEL_OF_WORDS if words else _LABEL_OF_INTEGERS
    constants = f"CLASSES = {_literal(table.classes)}\n" if table.classes else ""
    return {
        "name": _literal(name),
        "file": _literal(table.file.name),
        "label": _plain(label),
        "entity": _plain(entity or ""),
        "label_text": _literal(label),
        "entity_text": _literal(entity),
        "task_text": _literal(table.task),
        "metrics": _METRICS[table.task],
        "estimator": estimator,
        "arguments": arguments,
        "classes": f"\n            classes={_literal(table.classes)}," if table.classes else "",
        "constants": constants,
        "label_code": of_classes if table.classes else _LABEL_OF_NUMBERS,
        "head": _CLASSES_HEAD if table.classes else _NUMBER_HEAD,
        "numpy": "" if table.classes else "\nimport numpy as np",
    }


def _literal(value: str | tuple[str, ...] | tuple[int, ...] | None) -> str:
    """Python source, with the quotes of the house."""
    if isinstance(value, tuple):
        inner = ", ".join(_literal(v) if isinstance(v, str) else str(v) for v in value)
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    return json.dumps(value, ensure_ascii=False)


def _plain(name: str) -> str:
    """For a docstring."""
    return re.sub(r'["\\\n\r]', " ", name)


def _module(name: str) -> str:
    module = re.sub(r"\W", "_", name).lower().strip("_") or "own"
    clash = module[0].isdigit() or keyword.iskeyword(module)
    return f"own_{module}" if clash else module
