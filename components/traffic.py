"""Which variant of a model a key gets: the same for A/B tests in Beam and for the server."""

import hashlib
from collections.abc import Sequence


def variant_of(shares: Sequence[tuple[str, float]], value: object) -> str:
    """The variant for a value: the same on every worker, in every server and in every run.

    Args:
      shares: (variant, share in any unit), in a fixed order, not all 0.
      value: its text decides.
    """
    digest = hashlib.sha256(str(value).encode("utf-8", "surrogatepass")).digest()
    point = int.from_bytes(digest[:8]) / 2**64 * sum(share for _, share in shares)
    for name, share in shares:
        if point < share:
            return name
        point -= share
    return next(name for name, share in reversed(shares) if share)  # rounding, at the very end
