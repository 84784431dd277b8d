"""How far the metrics of other images of the same kind may lie from those measured."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.caption_evaluator.compare import exact_matches, wilson
from components.caption_evaluator.config import LARGEST
from components.caption_evaluator.score import bleu_of, measure

Interval = tuple[float, float]
_RESAMPLES = 1000
_GROUPS = 2000
"""More images are resampled in so many groups of them, which costs no more."""


def intervals(images: pa.Table, confidence: float) -> dict[str, Interval | None]:
    """The interval of each metric; None where the metric is undefined, or one image tells nothing.

    Shares: Wilson. clip_score: Student's t of the mean, within its scale. bleu: percentiles of a
    bootstrap over images, which draws the same ones each time.

    Args:
      images: as `score_images` gives them.
      confidence: of each interval alone.

    Source: Wilson 1927; Koehn 2004, "Statistical Significance Tests for Machine Translation
      Evaluation" (bootstrap of BLEU).
    """
    found = {metric: _interval(images, metric, confidence) for metric in LARGEST}
    values = measure(images)
    return {metric: None if values[metric] is None else found[metric] for metric in found}


def _interval(images: pa.Table, metric: str, confidence: float) -> Interval | None:
    if metric == "clip_score":
        return _of_mean(images.column(metric).drop_null().to_numpy(), confidence, LARGEST[metric])
    if metric == "bleu":
        return _of_bleu(images.column("bleu_counts").drop_null(), confidence)
    if metric == "coverage":
        right = pc.is_valid(images.column("caption")).to_numpy()
    else:
        right = exact_matches(images, metric)
    return wilson(int(right.sum()), len(right), confidence) if len(right) else None


def _of_mean(values: np.ndarray, confidence: float, largest: float) -> Interval | None:
    from scipy.stats import t

    rows = len(values)
    if rows < 2:
        return None
    mean = float(values.mean())
    reach = float(t.ppf((1 + confidence) / 2, rows - 1) * values.std(ddof=1) / np.sqrt(rows))
    return max(mean - reach, 0.0), min(mean + reach, largest)


def _of_bleu(counts: pa.ChunkedArray, confidence: float) -> Interval | None:
    rows = len(counts)
    if rows < 2:
        return None
    random, size = np.random.default_rng(0), min(rows, _GROUPS)
    groups = np.zeros((size, 10), np.int64)
    places = random.permutation(rows) % size
    np.add.at(groups, places, np.array(counts.to_pylist(), np.int64))
    drawn = random.multinomial(size, np.full(size, 1 / size), _RESAMPLES) @ groups
    values = [value for total in drawn if (value := bleu_of(total)) is not None]
    if not values:
        return None
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
