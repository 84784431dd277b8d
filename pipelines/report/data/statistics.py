"""Statistics, schema and anomalies of the rows, read from TFDV's files without TFDV."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.printable import printable
from pipelines.report.source import Source

STATISTICS_FILE, ANOMALIES_FILE = "FeatureStats.pb", "SchemaDiff.pb"
_TOP = 8
_TYPES = {0: "int", 1: "float", 2: "string", 3: "bytes", 4: "struct"}


@dataclass(frozen=True)
class Column:
    """One column of one split."""

    name: str
    type: str
    """int, float, string or bytes."""
    rows: float
    missing: float
    """Rows without a value."""
    figures: Mapping[str, float] = field(default_factory=dict, hash=False)
    """Of numbers: mean, deviation, min, median, max, zeros. Of words: unique."""
    histogram: Sequence[tuple[float, float, float]] = ()
    """Of numbers: from, to, rows."""
    top: Sequence[tuple[str, float]] = ()
    """Of words: the most frequent ones and their rows."""


@dataclass(frozen=True)
class Distance:
    """How far a column is from that of the span before, or of the rows to predict."""

    split: str
    column: str
    kind: str
    """drift or skew."""
    value: float
    threshold: float
    measure: str
    """L-infinity or Jensen-Shannon."""


@dataclass(frozen=True)
class Statistics:
    """Of all splits."""

    rows: Mapping[str, int]
    """By split."""
    columns: Mapping[str, Mapping[str, Column]]
    """Column -> split -> statistics, in the order of the file."""


def read_statistics(source: Source, node: str = "StatisticsGen") -> Statistics | None:
    """The statistics that a node made; None if there are none."""
    from tensorflow_metadata.proto.v0 import statistics_pb2

    artifact = source.artifact(node, "statistics")
    if artifact is None:
        return None
    rows: dict[str, int] = {}
    columns: dict[str, dict[str, Column]] = {}
    for split, file in _split_files(artifact.uri, STATISTICS_FILE):
        found = statistics_pb2.DatasetFeatureStatisticsList.FromString(file.read_bytes())
        for dataset in found.datasets[:1]:
            rows[split] = int(dataset.num_examples)
            for feature in dataset.features:
                column = _column(feature, dataset.num_examples)
                columns.setdefault(column.name, {})[split] = column
    return Statistics(rows, columns)


def read_distances(source: Source) -> list[Distance]:
    """Drift and skew, the farthest over its threshold first."""
    from tensorflow_metadata.proto.v0 import anomalies_pb2

    folder = source.summary.validation.get("path")  # also of a validator that stopped the run
    found = []
    for split, file in _split_files(folder, ANOMALIES_FILE):
        for one in anomalies_pb2.Anomalies.FromString(file.read_bytes()).drift_skew_info:
            column = ".".join(one.path.step)
            for kind in ("drift", "skew"):
                for measured in getattr(one, f"{kind}_measurements"):
                    found.append(_distance(split, column, kind, measured))
    return sorted(found, key=lambda d: d.value / (d.threshold or 1), reverse=True)


def read_schema(source: Source) -> list[tuple[str, str, str, str]]:
    """Column, type, presence and domain of the schema that the rows were held against."""
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0 import schema_pb2

    node = next((n for n in source.run.nodes if n.output("schema")), None)
    artifact = node.output("schema") if node else None
    file = Path(artifact.uri, "schema.pbtxt") if artifact else None
    if file is None or not file.is_file():
        return []
    schema = text_format.Parse(file.read_text(encoding="utf-8"), schema_pb2.Schema())
    domains = {domain.name: list(domain.value) for domain in schema.string_domain}
    return [
        (
            printable(feature.name),
            schema_pb2.FeatureType.Name(feature.type).lower(),
            "required" if feature.presence.min_fraction >= 1 else "optional",
            _domain(feature, domains),
        )
        for feature in schema.feature
    ]


def _split_files(uri: str | None, name: str) -> Iterator[tuple[str, Path]]:
    """The split to train on first."""
    folders = Path(uri).glob("Split-*") if uri else ()
    splits = sorted(
        (f.name.removeprefix("Split-") for f in folders), key=lambda s: (s != "train", s)
    )
    for split in splits:
        file = Path(uri or "", f"Split-{split}", name)
        if file.is_file():
            yield split, file


def _column(feature: Any, rows: float) -> Column:
    kind = feature.WhichOneof("stats")
    stats = getattr(feature, kind) if kind else None
    name = feature.name or ".".join(feature.path.step)
    if stats is None:
        return Column(name, "unknown", rows, rows)
    present = stats.common_stats.num_non_missing
    type_name = _TYPES.get(feature.type, "unknown")
    missing = max(0.0, rows - present)
    if kind == "num_stats":
        return Column(name, type_name, rows, missing, _numbers(stats), _histogram(stats))
    if kind == "string_stats":
        top = [(v.value, v.frequency) for v in stats.top_values[:_TOP]]
        return Column(name, type_name, rows, missing, {"unique": stats.unique}, top=top)
    return Column(name, type_name, rows, missing)


def _numbers(stats: Any) -> dict[str, float]:
    return {
        "mean": stats.mean,
        "deviation": stats.std_dev,
        "min": stats.min,
        "median": stats.median,
        "max": stats.max,
        "zeros": stats.num_zeros,
    }


def _histogram(stats: Any) -> list[tuple[float, float, float]]:
    """The one with buckets of one width."""
    standard = [h for h in stats.histograms if h.type == h.STANDARD]
    return [
        (b.low_value, b.high_value, b.sample_count)
        for histogram in standard[:1]
        for b in histogram.buckets
    ]


def _distance(split: str, column: str, kind: str, measured: Any) -> Distance:
    from tensorflow_metadata.proto.v0 import anomalies_pb2

    types = anomalies_pb2.DriftSkewInfo.Measurement
    is_words = measured.type == types.L_INFTY
    measure = "L-infinity" if is_words else "Jensen-Shannon"
    return Distance(split, column, kind, measured.value, measured.threshold, measure)


def _domain(feature: Any, domains: Mapping[str, Sequence[str]]) -> str:
    kind = feature.WhichOneof("domain_info")
    if kind == "domain":
        values = domains.get(feature.domain, ())
        few = ", ".join(values[:6])
        return f"{len(values)} values: {few}{', ...' * (len(values) > 6)}"
    if kind in ("int_domain", "float_domain"):
        domain = getattr(feature, kind)
        return f"{domain.min:g} to {domain.max:g}"
    return "boolean" if kind == "bool_domain" else ""
