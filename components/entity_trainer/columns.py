"""Which columns of a schema are features, label and entity."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from components.curated_schema.columns import is_used
from components.entity_models.spec import ModelSpec
from components.entity_trainer.config import TrainConfig
from components.errors import BeamfleetError

ARROW_TYPES = {"string": pa.string(), "int64": pa.int64(), "double": pa.float64()}
_SCHEMA_TYPES = {1: "string", 2: "int64", 3: "double"}  # FeatureType BYTES, INT, FLOAT


@dataclass(frozen=True)
class TrainingColumns:
    """Columns of the training rows and their types."""

    entity: tuple[str, ...]
    label: str
    label_type: str
    """`string` | `int64` | `double`."""
    task: str
    features: tuple[tuple[str, str], ...]
    """(column, type) in model input order."""
    label_domain: tuple[str, ...] = ()
    """Classes that the schema declares; classes seen in the data are added."""
    entity_types: tuple[str, ...] = ()
    """`string` | `int64` | `double` of each entity column."""
    service: str = ""
    """See ModelSpec."""

    @staticmethod
    def of_schema(schema: Any, config: TrainConfig) -> "TrainingColumns":
        """Reads the columns from a `tensorflow_metadata` Schema; those out of use are left out.

        Raises:
          BeamfleetError: the label or an entity column is missing or out of use, no feature is
            left, a feature has no plain type, or the label's type does not go with the task.
        """
        used = [feature for feature in schema.feature if is_used(feature)]
        kinds = {feature.name: _SCHEMA_TYPES.get(feature.type) for feature in used}
        missing = [name for name in (*config.entity, config.label) if name not in kinds]
        if missing:
            _check_in_use(schema, missing)
            raise BeamfleetError(
                f"columns {missing} (entity or label) are not in the schema; it has {list(kinds)}"
            )
        untyped = [name for name, kind in kinds.items() if kind is None]
        if untyped:
            raise BeamfleetError(f"columns {untyped}: type BYTES, INT or FLOAT expected in schema")
        special = {config.label, *config.entity}
        features = tuple((n, k) for n, k in kinds.items() if n not in special and k is not None)
        if not features:
            raise BeamfleetError(f"the schema has no feature besides entity and label: {special}")
        label_type = str(kinds[config.label])
        _check_label(config, label_type)
        domain = _domain(schema, config) if config.task == "classification" else ()
        types = tuple(str(kinds[name]) for name in config.entity)
        return TrainingColumns(
            config.entity, config.label, label_type, config.task, features, domain, types
        )

    def spec(self, classes: frozenset[str] | frozenset[int]) -> ModelSpec:
        """The spec of all models, given the classes in the data."""
        names: Any = sorted({*classes, *self.label_domain})
        return ModelSpec(
            self.entity,
            self.label,
            self.task,
            self.features,
            tuple(names),
            self.entity_types,
            self.service,
        )

    def plain(self, batch: pa.RecordBatch, name: str, kind: str) -> pa.Array:
        """A column in its Arrow type; NaN counts as missing.

        Raises:
          BeamfleetError: the column is missing or does not fit the schema.
        """
        if name not in batch.schema.names:
            raise BeamfleetError(
                f"column {name!r} of the schema is not in the examples; they have "
                f"{batch.schema.names}"
            )
        column = batch.column(name)
        if (kind == "string") != _is_word(column.type) and not pa.types.is_null(column.type):
            raise BeamfleetError(
                f"column {name!r} is {column.type} in the examples, the schema says {kind}"
            )
        try:
            column = column.cast(ARROW_TYPES[kind])
        except pa.ArrowInvalid as error:
            raise BeamfleetError(f"column {name!r} does not fit {kind}: {error}") from error
        if kind == "double" and pc.any(pc.is_nan(column)).as_py():
            column = pc.if_else(pc.is_nan(column), None, column)
        return column


def _check_in_use(schema: Any, missing: list[str]) -> None:
    if out_of_use := sorted({feature.name for feature in schema.feature} & set(missing)):
        raise BeamfleetError(
            f"columns {out_of_use} (entity or label) are DEPRECATED in the schema: name others, or "
            "take them into use again"
        )


def _check_label(config: TrainConfig, kind: str) -> None:
    if config.task == "regression" and kind == "string":
        raise BeamfleetError(
            f"label {config.label!r} holds words; regression needs a number "
            "(or use task='classification')"
        )
    if config.task == "classification" and kind == "double":
        raise BeamfleetError(
            f"label {config.label!r} holds decimal numbers; classification needs words or integers "
            "(or use task='regression')"
        )


def _domain(schema: Any, config: TrainConfig) -> tuple[str, ...]:
    [feature] = [f for f in schema.feature if f.name == config.label]
    if feature.HasField("string_domain"):
        return tuple(feature.string_domain.value)
    named = [d for d in schema.string_domain if feature.domain and d.name == feature.domain]
    return tuple(named[0].value) if named else ()


def _is_word(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_word(kind.value_type)
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
    )
