"""Proposes how a reviewed schema would have to change for the data to fit it."""

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from components.curated_schema.columns import is_used

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0.schema_pb2 import Schema

_ROUNDS = 2


def propose_schema(schema: "Schema", paths: Sequence[str]) -> "Schema":
    """The schema with what is new in the data; equal to it where the data fit.

    New columns and values are added, presence is relaxed, a column that no row has becomes
    DEPRECATED: as TFDV's `update_schema` does it. Unlike there a column of another type gets that
    type (TFDV would deprecate it), one that is missing from some of the splits only may be missing
    from now on, and one with more new words than its statistics name may hold any.

    Args:
      schema: the reviewed one; it is not changed.
      paths: statistics (`FeatureStats.pb`) of every split.
    """
    import tensorflow_data_validation as tfdv

    statistics = [tfdv.load_stats_binary(path) for path in paths]
    statistics = [one for one in statistics if any(d.num_examples for d in one.datasets)]
    proposed = _retyped(schema, statistics)
    anywhere = _present(statistics)
    _forget_empty(statistics, anywhere - {feature.name for feature in schema.feature})
    # A value of the second split may relax what the first one added.
    for _ in range(_ROUNDS):
        for one in statistics:
            before = _copy(proposed)
            proposed = tfdv.update_schema(proposed, one)
            _take_back(proposed, before, _present([one]), anywhere)
            _open_domains(proposed, before, one)
    return proposed


def _copy(schema: "Schema") -> "Schema":
    copied = type(schema)()
    copied.CopyFrom(schema)
    return copied


def _features(statistics: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """(column, its statistics), where a row has it."""
    for one in statistics:
        for dataset in one.datasets:
            for feature in dataset.features:
                kind = feature.WhichOneof("stats")
                if kind and getattr(feature, kind).common_stats.num_non_missing:
                    yield _name(feature), feature


def _name(feature: Any) -> str:
    return ".".join(feature.path.step) or str(feature.name)


def _present(statistics: Sequence[Any]) -> set[str]:
    """Columns that some row of some split has."""
    return {name for name, _ in _features(statistics)}


def _retyped(schema: "Schema", statistics: Sequence[Any]) -> "Schema":
    """A copy with the types that the data have: decimal numbers hold whole ones, words all."""
    from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

    of_statistics = {
        statistics_pb2.FeatureNameStatistics.INT: schema_pb2.INT,
        statistics_pb2.FeatureNameStatistics.FLOAT: schema_pb2.FLOAT,
    }
    order = (schema_pb2.INT, schema_pb2.FLOAT, schema_pb2.BYTES)
    seen: dict[str, int] = {}
    for name, found in _features(statistics):
        kind = of_statistics.get(found.type, schema_pb2.BYTES)
        seen[name] = max(seen.get(name, kind), kind, key=order.index)
    copied = _copy(schema)
    for feature in copied.feature:
        kind = seen.get(feature.name, feature.type)
        if is_used(feature) and feature.type in order and kind != feature.type:
            feature.type = kind
            if domain := feature.WhichOneof("domain_info"):
                feature.ClearField(domain)  # bounds and values of another type
    return copied


def _forget_empty(statistics: Sequence[Any], new: Collection[str]) -> None:
    """The type of a new column is known where it has values."""
    for one in statistics:
        here = _present([one])
        for dataset in one.datasets:
            for feature in [
                f for f in dataset.features if _name(f) in new and _name(f) not in here
            ]:
                dataset.features.remove(feature)


def _take_back(
    proposed: "Schema", before: "Schema", here: Collection[str], anywhere: Collection[str]
) -> None:
    """Uses again what this split alone lacks, or has as whole numbers."""
    known = {feature.name: feature for feature in before.feature}
    for feature in proposed.feature:
        earlier = known.get(feature.name)
        if earlier is None or is_used(feature) or not is_used(earlier):
            continue
        if feature.name in anywhere:
            feature.CopyFrom(earlier)
            if feature.name not in here:
                feature.ClearField("presence")


def _open_domains(proposed: "Schema", before: "Schema", statistics: Any) -> None:
    """Any word may come where new ones are so many that the statistics name only the frequent."""
    columns = {feature.name: feature for feature in proposed.feature}
    known = {domain.name: domain for domain in before.string_domain}
    for name, found in _features([statistics]):
        words, feature = found.string_stats, columns.get(name)
        if feature is None or words.unique <= len(words.rank_histogram.buckets):
            continue
        for domain in proposed.string_domain:
            if feature.domain == domain.name and known.get(domain.name, domain) != domain:
                domain.CopyFrom(known[domain.name])
                feature.ClearField("domain")
