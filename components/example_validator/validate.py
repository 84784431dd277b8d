"""Validates statistics against a schema."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.errors import BeamfleetError
from components.files import write_whole

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0.anomalies_pb2 import Anomalies
    from tensorflow_metadata.proto.v0.schema_pb2 import Schema

ANOMALIES_FILE = "SchemaDiff.pb"
"""Name inside `Split-<name>/`, as the stock ExampleValidator writes it."""


@dataclass(frozen=True)
class Anomaly:
    """One way in which a split does not fit the schema."""

    split: str
    column: str
    """Empty: the data set as a whole."""
    description: str

    def __str__(self) -> str:
        place = f"split {self.split}" + (f", column {self.column!r}" if self.column else "")
        return f"{place}: {self.description}"


@dataclass(frozen=True)
class SplitStatistics:
    """Files of statistics (`FeatureStats.pb`) of one split, and of what it is compared with."""

    path: str
    previous: str = ""
    """Of the span before; empty: there is none."""
    serving: str = ""
    """Of the rows to predict; empty: there are none."""


def with_comparators(
    schema: "Schema", drift: Mapping[str, float], skew: Mapping[str, float]
) -> "Schema":
    """A copy of the schema with the largest distances that are allowed.

    Args:
      schema: of the rows.
      drift: column -> largest distance from the span before: of words the L-infinity norm, the
        largest change of a word's share; of numbers the Jensen-Shannon divergence, 0 to 1.
      skew: column -> largest distance from the rows to predict.

    Raises:
      BeamfleetError: a column is not in the schema.
    Source: TFDV, "Checking data skew and drift".
    """
    copied = type(schema)()
    copied.CopyFrom(schema)
    features = {feature.name: feature for feature in copied.feature}
    for what, thresholds in (("drift", drift), ("skew", skew)):
        for column, largest in thresholds.items():
            if column not in features:
                raise BeamfleetError(
                    f"{what} names the column {column!r}; the schema has {sorted(features)}"
                )
            feature = features[column]
            comparator = getattr(feature, f"{what}_comparator")
            is_word = feature.type == 1  # BYTES
            kind = comparator.infinity_norm if is_word else comparator.jensen_shannon_divergence
            kind.threshold = largest
    return copied


def validate_split(
    statistics: SplitStatistics,
    schema: "Schema",
    folder: str,
    failed: Sequence[tuple[str, str]] = (),
) -> "Anomalies":
    """Returns the anomalies of one split and writes them where TFDV looks for them.

    Args:
      statistics: of the split.
      schema: what the split should look like.
      folder: `Split-<name>` of the ExampleAnomalies artifact.
      failed: checks that do not hold, and why: these are anomalies of the data set.
    """
    import tensorflow_data_validation as tfdv

    def loaded(path: str) -> Any:
        return tfdv.load_stats_binary(path) if path else None

    anomalies = tfdv.validate_statistics(
        loaded(statistics.path),
        schema,
        previous_statistics=loaded(statistics.previous),
        serving_statistics=loaded(statistics.serving),
    )
    _add_checks(anomalies, failed)
    write_whole(f"{folder}/{ANOMALIES_FILE}", anomalies.SerializeToString())
    return anomalies


def _add_checks(anomalies: "Anomalies", failed: Sequence[tuple[str, str]]) -> None:
    from tensorflow_metadata.proto.v0.anomalies_pb2 import AnomalyInfo

    for name, why in failed:
        of_data_set = anomalies.dataset_anomaly_info
        of_data_set.severity = AnomalyInfo.ERROR
        of_data_set.reason.add(
            type=AnomalyInfo.CUSTOM_VALIDATION, short_description=name, description=why
        )


def columns_of(paths: Sequence[str]) -> list[str]:
    """Columns that some row has, by the statistics of every split."""
    import tensorflow_data_validation as tfdv

    found: dict[str, None] = {}
    for path in paths:
        for dataset in tfdv.load_stats_binary(path).datasets:
            for feature in dataset.features:
                kind = feature.WhichOneof("stats")
                if kind and getattr(feature, kind).common_stats.num_non_missing:
                    found[".".join(feature.path.step) or feature.name] = None
    return list(found)


def distances(anomalies: "Anomalies") -> dict[str, dict[str, float]]:
    """Column -> {"drift": distance from the span before, "skew": from the rows to predict}."""
    found: dict[str, dict[str, float]] = {}
    for one in anomalies.drift_skew_info:
        measured = {"drift": one.drift_measurements, "skew": one.skew_measurements}
        for what, values in measured.items():
            for value in values:
                found.setdefault(one.path.step[0], {})[what] = value.value
    return found


def list_anomalies(split: str, anomalies: "Anomalies") -> list[Anomaly]:
    """Returns the anomalies of one split, one for each reason."""
    found = [
        Anomaly(split, column, reason.description)
        for column, details in sorted(anomalies.anomaly_info.items())
        for reason in details.reason
    ]
    of_data_set = anomalies.dataset_anomaly_info.reason
    return found + [Anomaly(split, "", reason.description) for reason in of_data_set]
