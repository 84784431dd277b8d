"""Features of cards and users, and a fraud model for every merchant category."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from components.features import (
    Count,
    Entity,
    FeatureService,
    Fresh,
    InRange,
    JsonLines,
    Last,
    Lifetime,
    Max,
    Mean,
    Parquet,
    Rolling,
    Session,
    Source,
    Sum,
    Tumbling,
    UnifiedTransformer,
    on_demand,
    stream_feature_view,
)
from components.features.names import datetime as Time

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingClassifier

    from components.entity_trainer.examples import EntityExamples

