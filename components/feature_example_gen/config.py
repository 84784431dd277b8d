"""What FeatureExampleGen makes."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class FeatureExamplesConfig:
    """Labels of which service, in which splits."""

    features: str
    """Dotted path of a FeatureService, or of a FeatureView."""
    splits: Mapping[str, str | float] = field(hash=False)
    """`eval`, and `validation` if there is one -> when it begins (ISO 8601), or its share of the
    rows. What is earlier trains."""
    as_of: str
    """What was known of events and labels then; ISO 8601."""
    gap: str = "0s"
    """Rows of so long before the next split are in none."""
    labels: str = ""
    """Dotted path of the Source of labels; empty: those of the service."""
    label: str = ""
    """Column of `labels` to predict; empty: that of the service."""
    request: Mapping[str, str] = field(default_factory=dict, hash=False)
    """More columns of `labels` -> float, int, str or bool."""

    @property
    def split_names(self) -> tuple[str, ...]:
        """Of the Examples, in the order of time."""
        return ("train", *(name for name in ("validation", "eval") if name in self.splits))

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "FeatureExamplesConfig":
        return cls(**json.loads(text))
