"""Predictions reduced to the few numbers a row that metrics and tests need."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from apache_beam.io.filesystems import FileSystems

from components.entity_evaluator.metrics import (
    Bools,
    Classified,
    Floats,
    Groups,
    Ints,
    Outcomes,
    Regressed,
)
from components.entity_models.spec import ModelSpec
from components.errors import BeamfleetError

MISSING = "(missing)"
_ENTITY = "beamfleet:entity"
_NUMBERS = ("predicted", "truth", "score")


@dataclass(frozen=True)
class ScoreColumns:
    """What is kept of each row."""

    spec: ModelSpec
    passes: tuple[str, ...]
    """Names of the models that predicted each row."""
    extra: tuple[str, ...] = ()
    """Columns kept as words, for slices and groups."""
    positive_label: str = ""
    """Positive class of two; empty: the last one."""
    probabilities: bool = False
    """Keep all probabilities too, which TFMA needs where there are not two classes."""

    def __post_init__(self) -> None:
        names = [str(value) for value in self.spec.classes]
        if self.positive_label and self.positive_label not in names:
            raise BeamfleetError(f"positive_label {self.positive_label!r} is none of {names}")

    @property
    def positive(self) -> int | None:
        """Number of the positive class; None unless there are two classes."""
        names = [str(value) for value in self.spec.classes]
        if len(names) != 2:
            return None
        return names.index(self.positive_label) if self.positive_label else 1

    @property
    def schema(self) -> pa.Schema:
        """Columns of score tables."""
        number = pa.int64() if self.spec.task == "classification" else pa.float64()
        fields = [pa.field("entity", pa.string()), pa.field("label", number)]
        for name in self.passes:
            for part, kind in zip(_NUMBERS, (number, pa.float64(), pa.float64()), strict=True):
                fields.append(pa.field(_column(name, part), kind))
            fields.append(pa.field(_column(name, "error"), pa.string()))
            if self.keeps_probabilities:
                fields.append(pa.field(_column(name, "probabilities"), pa.list_(pa.float64())))
        return pa.schema(fields + [pa.field(_extra(column), pa.string()) for column in self.extra])

    @property
    def keeps_probabilities(self) -> bool:
        """Whether there is a column of probabilities: one for each code of `Classified`."""
        two = self.positive is not None
        return self.probabilities and self.spec.task == "classification" and not two


@dataclass(frozen=True)
class EvaluatedRows:
    """The rows with a label and an entity key, in an order that depends on nothing but them."""

    entities: list[str]
    """Sorted."""
    groups: Groups
    """Entity of each row."""
    outcomes: Mapping[str, Outcomes]
    """By name of the pass."""
    errors: Mapping[str, str]
    """By name of the pass, an example of a failed prediction; absent if none failed."""
    extra: pa.Table
    """(rows,) words; a missing value is "(missing)"."""
    counts: Mapping[str, int]
    """rows_in = rows_evaluated + rows_missing_label + rows_missing_entity; rows_unknown_label."""


def add_scores(pair: tuple[pa.Table, pa.Table], columns: ScoreColumns, name: str) -> pa.Table:
    """Appends the numbers of one pass to the rows that it predicted.

    Args:
      pair: (rows,) examples with what earlier passes appended, and (rows,) predictions as
        `components.entity_models.predict` gives them.
      columns: what to keep.
      name: of the pass.

    Raises:
      BeamfleetError: there is no label column, or one of a foreign type.
    """
    table, predictions = pair
    failed = pc.is_valid(predictions.column("error")).to_numpy()
    if columns.spec.task == "regression":
        prediction = predictions.column("prediction").to_numpy()
        unused = np.zeros(len(failed))
        numbers = [np.where(failed, np.nan, prediction), unused, unused]
    else:
        predicted = _predicted(predictions, failed, columns)
        vectors = _probabilities(predictions, predicted, columns)
        numbers = _class_numbers(_label(table, columns.spec), predicted, vectors, columns)
        if columns.keeps_probabilities:
            table = table.append_column(_column(name, "probabilities"), _as_lists(vectors))
    for part, values in zip(_NUMBERS, numbers, strict=True):
        table = table.append_column(_column(name, part), pa.array(values))
    table = table.append_column(_column(name, "error"), predictions.column("error"))
    if _ENTITY in table.schema.names:
        return table
    return table.append_column(_ENTITY, predictions.column("entity"))


def keep_scores(table: pa.Table, columns: ScoreColumns) -> pa.Table:
    """Drops all but the score columns.

    Raises:
      BeamfleetError: an extra column is missing.
    """
    missing = [column for column in columns.extra if column not in table.schema.names]
    if missing:
        raise BeamfleetError(
            f"slices or fairness name {missing}; the evaluated examples have only "
            f"{[name for name in table.schema.names if ':' not in name]}"
        )
    label = table.column(columns.spec.label)
    codes = pa.array(
        _label(table, columns.spec), mask=pc.is_null(label, nan_is_null=True).to_numpy()
    )
    kept: list[Any] = [table.column(_ENTITY), codes]
    kept += [table.column(name) for name in columns.schema.names if name.startswith("pass:")]
    kept += [pc.fill_null(table.column(name).cast(pa.string()), MISSING) for name in columns.extra]
    return pa.table(kept, schema=columns.schema)


def read_scores(folder: str, columns: ScoreColumns) -> EvaluatedRows:
    """Reads score files and leaves out, counted, the rows without a label or an entity key."""
    [match] = FileSystems.match([f"{folder}/*.parquet"])
    names = [field.name for field in columns.schema if not pa.types.is_list(field.type)]
    tables = [columns.schema.empty_table().select(names)]
    for path in sorted(metadata.path for metadata in match.metadata_list):
        with FileSystems.open(path) as file:
            tables.append(pq.read_table(file, columns=names))
    table = pa.concat_tables(tables)
    rows_in = table.num_rows
    labelled = table.filter(pc.is_valid(table.column("label")))
    kept = labelled.filter(pc.is_valid(labelled.column("entity")))
    # Engines give rows in any order; sums of floats depend on it in the last digit.
    kept = kept.sort_by([(name, "ascending") for name in names]).combine_chunks()
    entities = sorted(pc.unique(kept.column("entity")).to_pylist())
    code = pc.index_in(kept.column("entity"), value_set=pa.array(entities, pa.string()))
    outcomes = {name: _outcomes(kept, columns, name) for name in columns.passes}
    unknown = (
        columns.spec.task == "classification"
        and pc.sum(pc.equal(kept.column("label"), len(columns.spec.classes))).as_py()
    )
    return EvaluatedRows(
        entities=entities,
        groups=Groups(_numpy(code).astype(np.int64), len(entities)),
        outcomes=outcomes,
        errors={name: text for name in columns.passes if (text := _error(kept, name))},
        extra=kept.select([_extra(name) for name in columns.extra]).rename_columns(columns.extra),
        counts={
            "rows_in": rows_in,
            "rows_evaluated": kept.num_rows,
            "rows_missing_label": rows_in - labelled.num_rows,
            "rows_missing_entity": labelled.num_rows - kept.num_rows,
            "rows_unknown_label": int(unknown or 0),
        },
    )


def _label(table: pa.Table, spec: ModelSpec) -> npt.NDArray[Any]:
    """(rows,) class numbers, `len(classes)` for an unknown or missing one; or the numbers."""
    if spec.label not in table.schema.names:
        raise BeamfleetError(
            f"the evaluated examples lack the label column {spec.label!r}; they have "
            f"{[name for name in table.schema.names if ':' not in name]}"
        )
    label = table.column(spec.label)
    try:
        if spec.task == "regression":
            return _numpy(label.cast(pa.float64()))
        classes = pa.array(spec.classes)
        codes = pc.index_in(label.cast(classes.type), value_set=classes)
    except pa.ArrowException:
        raise BeamfleetError(
            f"label column {spec.label!r} is {label.type}, which does not fit the models' "
            f"{list(spec.classes) or 'numbers'}"
        ) from None
    return _numpy(pc.fill_null(codes, len(spec.classes))).astype(np.int64)


def _predicted(predictions: pa.Table, failed: Bools, columns: ScoreColumns) -> Ints:
    """(rows,) class number; `len(classes) + 1` if the prediction failed."""
    known = pa.array(columns.spec.classes)
    codes = pc.index_in(predictions.column("prediction").cast(known.type), value_set=known)
    failure = len(known) + 1
    predicted = _numpy(pc.fill_null(codes, failure)).astype(np.int64)
    return np.where(failed, failure, predicted)


def _probabilities(predictions: pa.Table, predicted: Ints, columns: ScoreColumns) -> Floats:
    """(rows, classes + 2) probabilities; the two special numbers of Classified have theirs too.

    A model without probabilities is taken to be sure, a failed prediction to be surely failed.
    """
    classes = len(columns.spec.classes)
    vectors = np.zeros((len(predicted), classes + 2))
    lists = predictions.column("probabilities").combine_chunks()
    given = _numpy(pc.is_valid(lists)) & (predicted <= classes)
    if given.any():
        values = _numpy(lists.filter(pa.array(given)).flatten())
        vectors[given, :classes] = values.reshape(-1, classes)
    sure = np.flatnonzero(~given)
    vectors[sure, predicted[sure]] = 1.0
    return vectors


def _class_numbers(
    label: Ints, predicted: Ints, vectors: Floats, columns: ScoreColumns
) -> list[npt.NDArray[Any]]:
    """Predicted class number, probability of the true class and of the positive one."""
    truth = vectors[np.arange(len(label)), label]
    if columns.positive is None:
        return [predicted, truth, np.zeros(len(label))]
    failed = predicted == len(columns.spec.classes) + 1
    worst = (label != columns.positive).astype(np.float64)
    return [predicted, truth, np.where(failed, worst, vectors[:, columns.positive])]


def _as_lists(vectors: Floats) -> pa.Array:
    rows, width = vectors.shape
    offsets = np.arange(0, rows * width + 1, width, dtype=np.int32)
    return pa.ListArray.from_arrays(offsets, vectors.ravel())


def _outcomes(table: pa.Table, columns: ScoreColumns, name: str) -> Outcomes:
    label, predicted, truth, score = (
        _numpy(table.column(n)) for n in ("label", *(_column(name, part) for part in _NUMBERS))
    )
    if columns.spec.task == "regression":
        return Regressed(label, predicted)
    return Classified(label, predicted, truth, score, len(columns.spec.classes), columns.positive)


def _error(table: pa.Table, name: str) -> str | None:
    failed = table.filter(pc.is_valid(table.column(_column(name, "error"))))
    if not failed.num_rows:
        return None
    first = failed.slice(0, 1).to_pylist()[0]
    return f"entity {first['entity']!r}: {first[_column(name, 'error')]}"


def _column(name: str, part: str) -> str:
    return f"pass:{name}:{part}"


def _extra(column: str) -> str:
    return f"extra:{column}"


def _numpy(values: Any) -> npt.NDArray[Any]:
    if isinstance(values, pa.ChunkedArray):
        return np.asarray(values.to_numpy())
    return np.asarray(values.to_numpy(zero_copy_only=False))
