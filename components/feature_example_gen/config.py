"""What FeatureExampleGen makes."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class FeatureExamplesConfig:
    """Labels of which service, in which splits."""

    features: str
    """Dotted path of a FeatureService, or of a FeatureView."""
    splits: Mapping[str, str] = field(hash=False)
    """Split -> its first moment, ISO 8601."""
    as_of: str
    """What was known of the labels then; end of the last split. ISO 8601."""
    gap: str = "0s"
    """A split ends so long before the next one begins."""
    labels: str = ""
    """Dotted path of the Source of labels; empty: those of the service."""
    label: str = ""
    """Column of `labels` to predict; empty: that of the service."""
    request: Mapping[str, str] = field(default_factory=dict, hash=False)
    """More columns of `labels` -> float, int, str or bool."""

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "FeatureExamplesConfig":
        return cls(**json.loads(text))
