"""Validates statistics against a schema."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

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


def validate_split(statistics_file: str, schema: "Schema", folder: str) -> "Anomalies":
    """Returns the anomalies of one split and writes them where TFDV looks for them.

    Args:
      statistics_file: path of a `FeatureStats.pb`.
      schema: what the split should look like.
      folder: `Split-<name>` of the ExampleAnomalies artifact.
    """
    import tensorflow_data_validation as tfdv

    anomalies = tfdv.validate_statistics(tfdv.load_stats_binary(statistics_file), schema)
    write_whole(f"{folder}/{ANOMALIES_FILE}", anomalies.SerializeToString())
    return anomalies


def list_anomalies(split: str, anomalies: "Anomalies") -> list[Anomaly]:
    """Returns the anomalies of one split, one for each reason."""
    found = [
        Anomaly(split, column, reason.description)
        for column, details in sorted(anomalies.anomaly_info.items())
        for reason in details.reason
    ]
    of_data_set = anomalies.dataset_anomaly_info.reason
    return found + [Anomaly(split, "", reason.description) for reason in of_data_set]
