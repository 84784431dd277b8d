"""What ImageExampleGen reads: frozen configuration with a JSON round trip."""

import json
from dataclasses import asdict, dataclass, field

from components.images.decode import MAX_PIXELS
from components.images.fetch import FetchLimits


@dataclass(frozen=True)
class ImageSource:
    """Where images are, and what reading them may cost."""

    images: tuple[str, ...]
    """Folders, patterns, lists (`.txt`), files, addresses, TFRecord files; see `find_images`."""
    references: str = ""
    """CSV or JSON Lines about the images, see `read_references`; empty: those of
    `find.REFERENCE_NAMES` that lie in the folders."""
    limits: FetchLimits = field(default_factory=FetchLimits)
    """Of each image."""
    max_pixels: int = MAX_PIXELS
    """Of one image."""
    max_rejected_share: float = 1.0
    """Share of the images that may be rejected before the run stops, 0 to 1. Whatever it is, a run
    without any good image stops."""

    def __post_init__(self) -> None:
        if not self.images or not all(self.images):
            raise ValueError(f"images must name folders, patterns or files, got {self.images!r}")
        if not 0 <= self.max_rejected_share <= 1:
            raise ValueError(f"max_rejected_share is {self.max_rejected_share}, expected 0 to 1")
        if min(self.max_pixels, self.limits.max_bytes, self.limits.timeout_s) <= 0:
            raise ValueError("max_pixels, max_bytes and timeout_s must be above 0")

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "ImageSource":
        values = json.loads(text)
        values["images"] = tuple(values["images"])
        return cls(**{**values, "limits": FetchLimits(**values["limits"])})
