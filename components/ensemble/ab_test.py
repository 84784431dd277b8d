"""Which ensemble of an A/B test a record gets."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from components.ensemble.graph import Ensemble
from components.ensemble.record import Record
from components.errors import BeamfleetError
from components.traffic import variant_of


@dataclass(frozen=True)
class TrafficSplit:
    """Shares of variants, sticky by a column's value."""

    shares: tuple[tuple[str, float], ...]
    """(variant, share in any unit), in a fixed order."""
    by: str
    shadow: tuple[str, ...]

    def variant_of(self, value: object) -> str:
        """The variant for a value of `by`: the same on every worker and in every run."""
        return variant_of(self.shares, value)

    def assigned(self, record: Record) -> Iterator[Record]:
        """The record for its variant, then a copy for each shadow."""
        value = record.values.get(self.by)
        if value is not None:
            yield replace(record, variant=self.variant_of(value))
        else:
            dead = record.failed("split", f"the record has no {self.by!r} to split by")
            yield replace(record if record.failure else dead, variant=self.shares[0][0])
        for name in self.shadow:
            yield replace(record, variant=name)


class ABTest:
    """Ensembles that share the records among them.

    Example:
        ABTest({"champion": a, "challenger": b}, split={"champion": 9, "challenger": 1},
               by="image_uri")
        ABTest({"champion": a, "next": c}, split={"champion": 1}, by="image_uri", shadow=("next",))

    Raises:
      BeamfleetError: a share or a shadow of no variant, a variant without either, or no share.
    """

    def __init__(
        self,
        variants: Mapping[str, Ensemble],
        split: Mapping[str, float],
        by: str,
        shadow: tuple[str, ...] = (),
    ) -> None:
        """Checks the shares.

        Args:
          variants: name -> ensemble.
          split: name -> share, in any unit; a record gets one of these.
          by: column whose value decides, so that the same value gets the same variant.
          shadow: variants that get a copy of every record besides.
        """
        if not all(isinstance(share, int | float) for share in split.values()):
            raise BeamfleetError(f"shares must be positive numbers: {dict(split)}")
        twice = len(set(shadow)) < len(shadow)
        if {*split, *shadow} != set(variants) or set(split) & set(shadow) or not split or twice:
            raise BeamfleetError(
                f"each variant of {sorted(variants)} needs either a share or to be a shadow, once; "
                f"the shares are {dict(split)}, the shadows {list(shadow)}"
            )
        total = sum(split.values())
        if not (min(split.values()) > 0 and math.isfinite(total)):
            raise BeamfleetError(f"shares must be positive numbers: {dict(split)}")
        self.variants = dict(variants)
        self.split = TrafficSplit(tuple(sorted(split.items())), by, shadow)
