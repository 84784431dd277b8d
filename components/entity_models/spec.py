"""What every model of one store has in common."""

import hashlib
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.errors import BeamfleetError

TASKS = ("classification", "regression")
COLUMN_TYPES = ("string", "int64", "double")


@dataclass(frozen=True)
class ModelSpec:
    """Inputs and outputs that all models of one store share.

    Raises:
      BeamfleetError: a field is not what the other fields need.
    """

    entity_columns: tuple[str, ...]
    """Columns whose values together are the entity key; (): one model predicts all rows."""
    label: str
    """Column that the models predict."""
    task: str
    """`classification` or `regression`."""
    features: tuple[tuple[str, str], ...]
    """(column, `string` | `int64` | `double`) in model input order."""
    classes: tuple[str, ...] | tuple[int, ...] = ()
    """All classes of the label, sorted; () for regression. Probabilities align to it."""
    entity_types: tuple[str, ...] = ()
    """`string` | `int64` | `double` of each entity column; () makes all of them `string`."""
    service: str = ""
    """The feature service that the rows were made with, see `components.feature_vectors`; "" if
    there is none."""

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise BeamfleetError(f"task must be one of {TASKS}, got {self.task!r}")
        if not self.features:
            raise BeamfleetError("a model spec needs at least one feature")
        names = [name for name, _ in self.features]
        strange = [n for n in (*self.entity_columns, self.label, *names) if not isinstance(n, str)]
        if strange:
            raise BeamfleetError(f"names of columns must be words, got {strange}")
        if len(set(names)) != len(names):
            raise BeamfleetError(f"features {names} hold a column twice")
        overlap = {self.label, *self.entity_columns} & set(names)
        if overlap:
            raise BeamfleetError(f"{sorted(overlap)} cannot be features: label or entity column")
        if not isinstance(self.service, str):
            raise BeamfleetError(f"service is {type(self.service).__name__}, expected text")
        unknown = [pair for pair in self.features if pair[1] not in COLUMN_TYPES]
        if unknown:
            raise BeamfleetError(f"features {unknown} have a type outside {COLUMN_TYPES}")
        if not self.entity_types:
            object.__setattr__(self, "entity_types", ("string",) * len(self.entity_columns))
        if len(self.entity_types) != len(self.entity_columns) or not (
            set(self.entity_types) <= set(COLUMN_TYPES)
        ):
            raise BeamfleetError(
                f"entity types {self.entity_types} expected to be one of {COLUMN_TYPES} for each "
                f"of {self.entity_columns}"
            )
        self._check_classes()

    @property
    def entities(self) -> tuple[tuple[str, str], ...]:
        """(column, type) of the entity columns."""
        return tuple(zip(self.entity_columns, self.entity_types, strict=True))

    def _check_classes(self) -> None:
        if (self.task == "classification") != bool(self.classes):
            raise BeamfleetError(f"{self.task} does not go with the classes {self.classes}")
        if len({type(value) for value in self.classes} - {str, int}) or (
            len({type(value) for value in self.classes}) > 1
        ):
            raise BeamfleetError(f"classes must be all words or all integers: {self.classes}")
        if any(a >= b for a, b in itertools.pairwise(self.classes)):  # type: ignore[operator]
            raise BeamfleetError(f"classes must be sorted and distinct: {self.classes}")

    def fingerprint(self) -> str:
        """SHA-256; stores with different fingerprints must not be composed."""
        content = self.to_dict()
        if set(self.entity_types) == {"string"}:
            del content["entity_types"]  # as in stores that were written before there were types
        text = json.dumps(content, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        of_service = {"service": self.service} if self.service else {}
        return {
            "entity_columns": list(self.entity_columns),
            "entity_types": list(self.entity_types),
            "label": self.label,
            "task": self.task,
            "features": [list(pair) for pair in self.features],
            "classes": list(self.classes),
            **of_service,
        }

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> "ModelSpec":
        """Inverse of `to_dict`.

        Raises:
          BeamfleetError: a field is missing or wrong.
        """
        try:
            spec = ModelSpec(
                entity_columns=tuple(values["entity_columns"]),
                label=values["label"],
                task=values["task"],
                features=tuple((name, kind) for name, kind in values["features"]),
                classes=tuple(values["classes"]),
                entity_types=tuple(values.get("entity_types", ())),
                service=values.get("service", ""),
            )
            spec.fingerprint()  # fails for text that is not Unicode
            return spec
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise BeamfleetError(f"not a model spec: {type(error).__name__} {error}") from error
