"""A sample of bounded size that does not depend on the order of the rows."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt


@dataclass
class SmallestHashes:
    """Tells which rows of a stream can still be among the `size` rows of smallest hash.

    Out of n rows about size * (1 + ln(n / size)) pass, and 8 bytes are held for each row of the
    sample (at most four times that). The final cut is made where all rows meet.
    Source: bottom-k sketch, Cohen and Kaplan 2007.
    """

    size: int
    """Rows of the sample."""
    _held: list[npt.NDArray[np.uint64]] = field(default_factory=list)
    _rows_held: int = 0
    _threshold: int | None = None

    def add(self, hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        """(rows,) True where the row is still a candidate."""
        keep = np.ones(len(hashes), bool)
        if self._threshold is not None:
            keep = hashes <= np.uint64(self._threshold)
        self._held.append(hashes[keep])
        self._rows_held += int(keep.sum())
        if self._rows_held > 2 * self.size or (
            self._threshold is None and self._rows_held > self.size
        ):
            self._cut()
            keep &= hashes <= np.uint64(self._threshold or 0)
        return keep

    def _cut(self) -> None:
        smallest = np.partition(np.concatenate(self._held), self.size - 1)[: self.size]
        self._threshold = int(smallest.max())
        self._held = [smallest]
        self._rows_held = self.size
