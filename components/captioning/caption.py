"""What the captioning stages give."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Caption:
    """A caption as the captioner wrote it."""

    text: str
    log_probability: float
    """Natural logarithm of the probability that the captioner gives to all of its tokens."""
    times: int = 1
    """How often it was written: sampling repeats what is likely."""
    is_cut: bool = False
    """It has as many tokens as it may have, and no end."""


@dataclass(frozen=True)
class RankedCaption:
    """A caption that was compared with the image."""

    text: str
    probability: float
    """Softmax over the captions of the image."""
    similarity: float
    """Cosine between image and caption, in [-1, 1]."""
    log_probability: float
    """The captioner's."""
    place: int
    """In the captioner's own order, by log_probability: 1 is its best."""
    times: int
    """How often the captioner wrote it."""
    is_cut: bool = False
    """The captioner was stopped by the greatest length."""


def distinct(captions: Iterable[Caption]) -> tuple[Caption, ...]:
    """Counts repetitions; the captioner's best comes first."""
    found: dict[str, Caption] = {}
    for caption in captions:
        known = found.get(caption.text)
        if known is None:
            found[caption.text] = caption
        else:
            # A text may be cut into tokens in two ways; the likelier stands for it.
            best = max(known.log_probability, caption.log_probability)
            times, is_cut = known.times + caption.times, known.is_cut and caption.is_cut
            found[caption.text] = Caption(caption.text, best, times, is_cut)
    return tuple(sorted(found.values(), key=lambda one: (-one.log_probability, one.text)))


def ranked(
    captions: Sequence[Caption], similarities: Sequence[float], probabilities: Sequence[float]
) -> tuple[RankedCaption, ...]:
    """Puts the captions of one image, as `distinct` gives them, in the ranker's order."""
    scored = zip(captions, similarities, probabilities, strict=True)
    found = [
        RankedCaption(
            one.text, probability, similarity, one.log_probability, place, one.times, one.is_cut
        )
        for place, (one, similarity, probability) in enumerate(scored, start=1)
    ]
    return tuple(sorted(found, key=lambda one: (-one.probability, one.place)))
