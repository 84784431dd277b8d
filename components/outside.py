"""What a node looks at beside its inputs: the state of files, folders and pushed versions.

Each `components/<name>/state.py` has a function `state`, which gives parameters that become part of
the cache key. It imports no TFX: TFX's driver calls it (`components.state_driver`), and so does
whoever wants to know in a second whether anything has changed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True)
class Given:
    """An input artifact of a node."""

    uri: str
    words: Mapping[str, str]
    """Custom properties that are text."""

    @classmethod
    def of(cls, artifact: Any) -> "Given":
        """From ML Metadata's Artifact."""
        properties = artifact.custom_properties.items()
        return cls(str(artifact.uri), {name: str(value.string_value) for name, value in properties})


Parameters: TypeAlias = Mapping[str, Any]
Inputs: TypeAlias = Mapping[str, Sequence[Given]]
State: TypeAlias = dict[str, str | int]
