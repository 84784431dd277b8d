"""Small models as a user would write them."""

from collections.abc import Iterable, Sequence
from typing import Any

from apache_beam.ml.inference.base import ModelHandler, PredictionResult

from components.ensemble.record import Record

COLLECTED: list[Record] = []
"""What came out of a pipeline that ran in this process."""


def collect(record: Record) -> None:
    COLLECTED.append(record)


Words = dict[Any, Any]
"""A model to which no weak reference can be kept, as Beam would: a stage has to see to that."""


class Language(ModelHandler[str, PredictionResult, Words]):
    """Tells the language of a text by its articles."""

    def load_model(self) -> Words:
        return {"the": "en", "der": "de", "le": "fr"}

    def run_inference(self, batch, model, inference_args=None):
        for text in batch:
            [found] = {model[word] for word in text.split() if word in model} or {"unknown"}
            yield PredictionResult(text, found, "language-1")


class Sentiment(ModelHandler[tuple[str, str], int, Words]):
    """Needs the language besides."""

    def load_model(self) -> Words:
        return {("en", "good"): 1, ("de", "gut"): 1, ("fr", "bon"): 1, ("en", "bad"): -1}

    def run_inference(self, batch, model, inference_args=None) -> list[int]:
        return [sum(model.get((lang, w), 0) for w in text.split()) for text, lang in batch]


class Double(ModelHandler[int, int, None]):
    """Records its batches; fails as it is told."""

    def __init__(self, fail: str = "", limit: int = 0, **batching: Any) -> None:
        super().__init__(**batching)
        self.fail, self.limit = fail, limit

    def load_model(self) -> None:
        return None

    def run_inference(
        self, batch: Sequence[int], model: None, inference_args: Any = None
    ) -> Iterable[int]:
        if self.limit and len(batch) > self.limit:
            raise MemoryError(f"{len(batch)} do not fit")
        if self.fail == "raise" and any(x % 10 == 3 for x in batch):
            raise ValueError("a three")
        results = [2 * x for x in batch]
        if self.fail == "short":  # as Beam's keyed tensor handler does with nested output
            return results[:1]
        if self.fail == "none":
            return []
        return results
