"""What a node read and made, as datasets of OpenLineage with schema, counts and quality."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from components.files import is_remote
from pipelines.credentials import without_credentials
from pipelines.lineage import source_of
from pipelines.metadata import Artifact, Node, Run

_ROWS = ("rows_in", "rows", "rows_evaluated")
_REJECTED = "rows_rejected"


def input_datasets(run: Run, node: Node) -> list[Any]:
    """The artifacts that a node read, and the files from outside."""
    from openlineage.client.event_v2 import InputDataset

    source = source_of(node.parameters, [made.properties for made in node.outputs])
    outside = [InputDataset(*_place(file)) for file in (source.files if source else ())]
    read = [
        InputDataset(
            *_place(artifact.uri), facets=_facets(artifact), inputFacets=_quality(run, artifact)
        )
        for artifact in node.inputs
    ]
    return [*outside, *read]


def output_datasets(node: Node) -> list[Any]:
    """The artifacts that a node made."""
    from openlineage.client.event_v2 import OutputDataset

    return [
        OutputDataset(
            *_place(artifact.uri), facets=_facets(artifact), outputFacets=_statistics(artifact)
        )
        for artifact in node.outputs
    ]


def _place(uri: str) -> tuple[str, str]:
    """Namespace and name, as OpenLineage writes them: `file` and a path, or a bucket and a key."""
    if not is_remote(uri):
        return "file", str(Path(uri).absolute())
    parts = urlsplit(without_credentials(uri))
    return f"{parts.scheme}://{parts.netloc}", parts.path.lstrip("/")


def _facets(artifact: Artifact) -> dict[str, Any]:
    from openlineage.client.generated import schema_dataset
    from openlineage.client.generated.dataset_type_dataset import DatasetTypeDatasetFacet

    facets: dict[str, Any] = {"datasetType": DatasetTypeDatasetFacet(artifact.type.upper())}
    if columns := list(_columns(artifact)):
        fields = [schema_dataset.SchemaDatasetFacetFields(name, kind) for name, kind in columns]
        facets["schema"] = schema_dataset.SchemaDatasetFacet(fields)
    return facets


def _columns(artifact: Artifact) -> Iterator[tuple[str, str]]:
    """Of rows in Parquet: name and Arrow type."""
    first = next(iter(_parquet(artifact)), None)
    if first is None:
        return
    import pyarrow.parquet as pq

    for field in pq.read_schema(first):
        yield field.name, str(field.type)


def _parquet(artifact: Artifact) -> list[Path]:
    if is_remote(artifact.uri):
        return []
    below = (("Split-*", "*"), ("predictions", "part-*.parquet"))
    found = [file for place in below for file in Path(artifact.uri).glob("/".join(place))]
    return sorted(file for file in found if file.suffix == ".parquet")


def _rows(artifact: Artifact) -> int | None:
    """Rows that it holds: those that were read, less those that were not taken."""
    properties = artifact.properties
    known = next((properties[name] for name in _ROWS if name in properties), None)
    if known is None or artifact.type not in ("Examples", "InferenceResult"):
        return None
    return int(known) - int(properties.get(_REJECTED, 0))


def _statistics(artifact: Artifact) -> dict[str, Any]:
    from openlineage.client.generated.output_statistics_output_dataset import (
        OutputStatisticsOutputDatasetFacet,
    )

    if is_remote(artifact.uri):
        return {}
    files = [file for file in Path(artifact.uri).rglob("*") if file.is_file()]
    size = sum(file.stat().st_size for file in files)
    return {
        "outputStatistics": OutputStatisticsOutputDatasetFacet(_rows(artifact), size, len(files))
    }


def _quality(run: Run, artifact: Artifact) -> dict[str, Any]:
    """Of examples: rows, and per column what the run's statistics say."""
    from openlineage.client.generated.data_quality_metrics_input_dataset import (
        DataQualityMetricsInputDatasetFacet,
    )

    rows = _rows(artifact)
    if rows is None:
        return {}
    columns = _column_metrics(run, artifact)
    return {"dataQualityMetrics": DataQualityMetricsInputDatasetFacet(columns, rowCount=rows)}


def _column_metrics(run: Run, artifact: Artifact) -> dict[str, Any]:
    """Of all splits together; what cannot be added up, such as distinct values, is left out."""
    from openlineage.client.generated.data_quality_metrics_input_dataset import ColumnMetrics

    found: dict[str, Any] = {}
    for column in _statistics_of(run, artifact):
        name = column.name or ".".join(column.path.step)
        common = (
            column.num_stats.common_stats
            if column.HasField("num_stats")
            else column.string_stats.common_stats
        )
        metrics = found.setdefault(name, ColumnMetrics(nullCount=0, count=0.0))
        metrics.nullCount += common.num_missing
        metrics.count += common.num_non_missing
        if column.HasField("num_stats"):
            least, most = column.num_stats.min, column.num_stats.max
            metrics.min = least if metrics.min is None else min(metrics.min, least)
            metrics.max = most if metrics.max is None else max(metrics.max, most)
    return found


def _statistics_of(run: Run, examples: Artifact) -> Iterator[Any]:
    """The columns' statistics by split, from the node that read these examples for them."""
    from tensorflow_metadata.proto.v0 import statistics_pb2

    for node in run.nodes:
        made = node.output("statistics")
        if made is None or examples.id not in {artifact.id for artifact in node.inputs}:
            continue
        for file in sorted(Path(made.uri).glob("Split-*/FeatureStats.pb")):
            statistics = statistics_pb2.DatasetFeatureStatisticsList.FromString(file.read_bytes())
            for dataset in statistics.datasets:
                yield from dataset.features
        return
