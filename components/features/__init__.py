"""What a user declares: entities, sources, feature views, services."""

from components.features.aggregator import (
    Aggregator,
    Count,
    First,
    Last,
    Max,
    Mean,
    Min,
    Std,
    Sum,
)
from components.features.entity import Entity
from components.features.expectations import CountAgainstYesterday, Fresh, InRange, NullShare
from components.features.group import FeatureGroup
from components.features.on_demand import OnDemandView, on_demand
from components.features.service import FeatureService
from components.features.source import JsonLines, Kafka, Parquet, Source
from components.features.transformation import LabelEncoder, StandardScaler, Transformation
from components.features.transformer import UnifiedTransformer
from components.features.view import FeatureView, Selection, stream_feature_view
from components.features.window import Lifetime, Rolling, Session, Tumbling

__all__ = [
    "Aggregator",
    "Count",
    "CountAgainstYesterday",
    "Entity",
    "FeatureGroup",
    "FeatureService",
    "FeatureView",
    "First",
    "Fresh",
    "InRange",
    "JsonLines",
    "Kafka",
    "LabelEncoder",
    "Last",
    "Lifetime",
    "Max",
    "Mean",
    "Min",
    "NullShare",
    "OnDemandView",
    "Parquet",
    "Rolling",
    "Selection",
    "Session",
    "Source",
    "StandardScaler",
    "Std",
    "Sum",
    "Transformation",
    "Tumbling",
    "UnifiedTransformer",
    "on_demand",
    "stream_feature_view",
]
