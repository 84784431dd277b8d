"""What became of the rows of a stream."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Counts:
    """rows = events + late + duplicates + rejected + filtered, of all runs together."""

    rows: int = 0
    """Lines that were read; blank ones are none."""
    events: int = 0
    """Counted."""
    late: int = 0
    """Beyond the lateness: not counted, kept."""
    duplicates: int = 0
    """There already."""
    rejected: int = 0
    """Not to be read, kept with the reason."""
    filtered: int = 0
    """Left out by the event_transform."""
    changes: int = 0
    """Rows of the change log that were said, corrections among them."""

    def plus(self, **more: int) -> "Counts":
        """With some more."""
        return replace(self, **{name: getattr(self, name) + count for name, count in more.items()})
