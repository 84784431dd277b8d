"""How much more often one captioner is right than another, with interval and p-value."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.entity_evaluator.significance import Bools, mcnemar, paired_t

MCNEMAR, FISHER = "exact McNemar", "Fisher's exact"


@dataclass(frozen=True)
class Difference:
    """Of two shares of exact matches: the first minus the second."""

    first: float
    second: float
    value: float
    low: float
    """Lower end of the interval."""
    high: float
    p_value: float
    """Two-sided, that there is no difference."""
    first_rows: int
    second_rows: int
    """The same ones if `test` is paired."""
    test: str
    """MCNEMAR (paired) or FISHER (unpaired)."""


def wilson(successes: int, rows: int, confidence: float) -> tuple[float, float]:
    """Score interval of a share.

    Raises:
      ValueError: there are no rows.
    Source: Wilson 1927; Brown, Cai, DasGupta 2001, "Interval Estimation for a Binomial Proportion".
    """
    from scipy.stats import binomtest

    interval = binomtest(successes, rows).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def paired(first: Bools, second: Bools, confidence: float) -> Difference:
    """Compares on the same images; (images,) each, at least one.

    Exact McNemar test, and the Wald interval with Bonett and Price's adjustment (one image more on
    either side), whose centre is a little nearer to zero than the value.

    Source: McNemar 1947; Bonett, Price 2012, "Adjusted Wald Confidence Interval for a Difference of
      Binomial Proportions Based on Paired Data"; Fagerland, Lydersen, Laake 2014, "Recommended
      tests and confidence intervals for paired binomial proportions".
    """
    rows = len(first)
    only = np.array([(first & ~second).sum(), (second & ~first).sum()])
    share = (only + 1) / (rows + 2)
    centre = float(share[0] - share[1])
    reach = _z(confidence) * float(np.sqrt((share.sum() - centre**2) / (rows + 2)))
    one_sided = mcnemar(only, only[::-1])
    return Difference(
        first=float(first.mean()),
        second=float(second.mean()),
        value=float((only[0] - only[1]) / rows),
        low=max(centre - reach, -1.0),
        high=min(centre + reach, 1.0),
        p_value=float(min(1.0, 2 * one_sided.min())),
        first_rows=rows,
        second_rows=rows,
        test=MCNEMAR,
    )


def unpaired(first: Bools, second: Bools, confidence: float) -> Difference:
    """Compares on different images, (images,) and (other images,), at least one each.

    Fisher's exact test, and Newcombe's interval from the two Wilson intervals.

    Source: Fisher 1922; Newcombe 1998, "Interval estimation for the difference between independent
      proportions: comparison of eleven methods", method 10.
    """
    from scipy.stats import fisher_exact

    one, other = float(first.mean()), float(second.mean())
    low, high = wilson(int(first.sum()), len(first), confidence)
    other_low, other_high = wilson(int(second.sum()), len(second), confidence)
    table = [[int(v.sum()), int((~v).sum())] for v in (first, second)]
    return Difference(
        first=one,
        second=other,
        value=one - other,
        low=one - other - float(np.hypot(one - low, other_high - other)),
        high=one - other + float(np.hypot(high - one, other - other_low)),
        p_value=float(fisher_exact(table).pvalue),
        first_rows=len(first),
        second_rows=len(second),
        test=FISHER,
    )


def worse(first: pa.Table, second: pa.Table, metric: str) -> float:
    """One-sided p-value that the first is worse than the second on the same images.

    Args:
      first: images as `score_images` gives them.
      second: the same ones in the same order.
      metric: exact_match (exact McNemar) or clip_score (paired t).
    """
    ours, theirs = (table.column(metric).to_numpy().astype(np.float64) for table in (first, second))
    difference = theirs - ours
    if metric == "exact_match":
        above, below = ((sign * difference > 0).sum() for sign in (1, -1))
        return float(mcnemar(np.array([above]), np.array([below]))[0])
    total, squares = np.array([difference.sum()]), np.array([(difference**2).sum()])
    return float(paired_t(total, squares, np.array([len(difference)]))[0])


def pair(first: pa.Table, second: pa.Table) -> tuple[pa.Table, pa.Table]:
    """The images with a caption in both tables, in one order.

    Rows meet by image and reference; of several such ones the n-th meets the n-th.
    """
    ours, theirs = _places(first), _places(second)
    common = [key for key in ours if key in theirs]
    one, other = (pa.array([p[key] for key in common], pa.int64()) for p in (ours, theirs))
    return first.take(one), second.take(other)


def exact_matches(images: pa.Table, metric: str = "exact_match") -> Bools:
    """(evaluated images,) whether the caption is right."""
    return np.array(images.column(metric).drop_null().to_pylist(), np.bool_)


def _places(images: pa.Table) -> dict[tuple[str, str | None, int], int]:
    seen: Counter[tuple[str, str | None]] = Counter()
    places = {}
    captioned = pc.is_valid(images.column("caption")).to_pylist()
    columns = (images.column(name).to_pylist() for name in ("image_uri", "reference"))
    for place, key in enumerate(zip(*columns, strict=True)):
        if captioned[place]:
            places[*key, seen[key]] = place
            seen[key] += 1
    return places


def _z(confidence: float) -> float:
    from scipy.stats import norm

    return float(norm.ppf((1 + confidence) / 2))
