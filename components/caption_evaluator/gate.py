"""Whether an ensemble that captions images may be pushed.

* At least one image has a caption.
* The overall value of each metric with a value threshold reaches it: the value, not a bound. A
  metric that is undefined (it needs references, and there are none) does not reach it.
* On the images that both captioned, no metric is worse than the pushed version's by more than its
  `max_drop`; coverage is compared on all images. Nothing pushed: nothing to compare with.
* On these images the version is not significantly worse than the pushed one: in exact matches, or
  in CLIP score where no image has a reference.
* Without any value threshold it must be significantly better than the best constant, the most
  frequent reference on every image; once a version is pushed, not significantly worse: replacing
  it by a like one needs no new evidence.

Each test stands alone at `confidence`.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.caption_evaluator.compare import exact_matches, pair, worse
from components.caption_evaluator.config import NEED_REFERENCE, CaptionEvaluationConfig
from components.caption_evaluator.score import count, measure, normalised
from components.entity_evaluator.config import Threshold
from components.entity_evaluator.significance import mcnemar
from components.words import counted

NO_REFERENCES = "no reference captions (nothing is pushed without)"
"""The same for all metrics that need them: said once."""
_ROUNDING = 1e-9
"""0.8 - 0.7 is a little more than 0.1."""
Values = Mapping[str, float | None]


@dataclass(frozen=True)
class AgainstPushed:
    """The new version and the pushed one on the images that both captioned, in one order."""

    candidate: pa.Table
    pushed: pa.Table
    candidate_values: Values
    """Metrics of these images; coverage of all."""
    pushed_values: Values

    @classmethod
    def of(cls, candidate: pa.Table, pushed: pa.Table) -> "AgainstPushed":
        """Pairs two results, tables as `score_images` gives them."""
        both = pair(candidate, pushed)
        values = [
            {**measure(paired), "coverage": measure(everything)["coverage"]}
            for paired, everything in zip(both, (candidate, pushed), strict=True)
        ]
        return cls(*both, *values)

    @property
    def metric(self) -> str:
        """What decides who is better."""
        return "exact_match" if count(self.candidate)["rows_evaluated"] else "clip_score"


def objections(
    images: pa.Table, against: AgainstPushed | None, config: CaptionEvaluationConfig
) -> list[str]:
    """Everything that speaks against pushing, in words; empty: the version is blessed."""
    counts = count(images)
    if counts["rows_failed"] == counts["rows_in"]:
        return [f"{counted(counts['rows_in'], 'image')}, and none has a caption"]
    values, found = measure(images), []
    for metric, threshold in config.thresholds.items():
        found += _value_threshold(metric, threshold, values, counts)
    if against is not None:
        found += _against_pushed(against, config)
    elif all(threshold.bound is None for threshold in config.thresholds.values()):
        found += _against_constant(images, config)
    return list(dict.fromkeys(found))


def _value_threshold(
    metric: str, threshold: Threshold, values: Values, counts: Mapping[str, int]
) -> list[str]:
    if threshold.minimum is None:
        return []
    value = values[metric]
    if value is None:
        return [why_undefined(metric, counts)]
    if value < threshold.minimum:
        return [f"{metric} is {value:.4g}, the threshold is {threshold.minimum:g}"]
    return []


def _against_pushed(against: AgainstPushed, config: CaptionEvaluationConfig) -> list[str]:
    counts = count(against.candidate)
    if not counts["rows_in"]:
        return [
            "no image of the same reference has a caption of this version and of the pushed one: "
            "there is nothing to compare"
        ]
    found = []
    for metric in config.dropping:
        value, pushed = against.candidate_values[metric], against.pushed_values[metric]
        most = config.thresholds[metric].max_drop
        if value is None or pushed is None or most is None:
            found.append(why_undefined(metric, counts))
        elif pushed - value > most + _ROUNDING:
            found.append(
                f"{metric} is {value:.4g}, worse than the pushed version's {pushed:.4g} by more "
                f"than {most:g}"
            )
    metric = against.metric
    ours, theirs = against.candidate, against.pushed
    if metric == "exact_match":
        ours, theirs = _with_reference(ours), _with_reference(theirs)
    p = worse(ours, theirs, metric)
    if p <= config.alpha:
        found.append(
            f"{metric} {against.candidate_values[metric]:.4g} is significantly worse than the "
            f"pushed version's {against.pushed_values[metric]:.4g} on "
            f"{counted(ours.num_rows, 'image')} (p {p:.2g})"
        )
    return found


def _against_constant(images: pa.Table, config: CaptionEvaluationConfig) -> list[str]:
    evaluated = _with_reference(images)
    if not evaluated.num_rows:
        return [
            "there is nothing to judge by: no image has a reference, no version is pushed, and no "
            "threshold has a min; give one for clip_score or coverage"
        ]
    references = [normalised(text) for text in evaluated.column("reference").to_pylist()]
    [(constant, _)] = Counter(references).most_common(1)
    right = exact_matches(evaluated)
    always = np.array([reference == constant for reference in references])
    better, fewer = (np.array([n.sum()]) for n in (right & ~always, always & ~right))
    p = float(mcnemar(better, fewer)[0])
    if p <= config.alpha:
        return []
    return [
        f"exact_match {right.mean():.4g} is not significantly better than the "
        f"{always.mean():.4g} of the caption {constant!r} on each of "
        f"{counted(len(right), 'image')} (p {p:.2g})"
    ]


def why_undefined(metric: str, counts: Mapping[str, int]) -> str:
    """Why a metric has no value."""
    if metric in NEED_REFERENCE and not counts["rows_evaluated"]:
        return NO_REFERENCES
    if metric == "own_order_exact_match":
        return f"{metric} needs the captioner's own first caption of every image (place 1)"
    if metric == "bleu":
        return f"{metric} needs at least one caption of four words"
    return f"{metric} has no value: there are no images"


def _with_reference(images: pa.Table) -> pa.Table:
    return images.filter(pc.is_valid(images.column("exact_match")))
