"""Finds rows to evaluate on that are rows to train on too."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from components.errors import BeamfleetError

Hashes = npt.NDArray[np.uint64]


@dataclass
class Overlap:
    """Hashes of the rows of splits that are given apart: 8 bytes a row."""

    train: list[Hashes] = field(default_factory=list)
    evaluation: list[Hashes] = field(default_factory=list)

    def add(self, split: str, hashes: Hashes) -> None:
        (self.train if split == "train" else self.evaluation).append(hashes)

    def count(self) -> int:
        """Returns how many rows of `eval` are equal to a row of `train`.

        Raises:
          BeamfleetError: most of them are, and not because rows repeat in `train` as well.
        """
        train, evaluation = _joined(self.train), _joined(self.evaluation)
        distinct = np.unique(train)
        found = int(np.isin(evaluation, distinct).sum())
        if 2 * found > len(evaluation) and 2 * len(distinct) > len(train):
            raise BeamfleetError(
                f"{found} of the {len(evaluation)} rows to evaluate on are among the rows to train "
                "on, which would make every model look good; give eval data of its own"
            )
        return found


def _joined(parts: list[Hashes]) -> Hashes:
    return np.concatenate([np.empty(0, np.uint64), *parts])
