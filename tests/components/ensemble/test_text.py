"""An ensemble on text of small real models: the language first, then the mood in that language."""

import pickle
from collections import Counter

import numpy as np
import pytest
from apache_beam.ml.inference.base import ModelHandler, PredictionResult
from apache_beam.ml.inference.sklearn_inference import SklearnModelHandlerNumpy
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from components.ensemble.graph import Ensemble, Stage
from components.ensemble.record import Record
from components.ensemble.run import RunEnsemble
from tests.components.ensemble.contract import run

PARTS = {
    "en": (["the film", "this evening", "our dinner", "the book"], "was", {
        "good": ["lovely", "wonderful", "excellent"], "bad": ["awful", "boring", "dreadful"]}),
    "de": (["der Film", "dieser Abend", "unser Essen", "das Buch"], "war", {
        "good": ["schön", "wunderbar", "prima"], "bad": ["furchtbar", "langweilig", "öde"]}),
    "fr": (["le film", "cette soirée", "notre dîner", "le livre"], "était", {
        "good": ["beau", "magnifique", "excellent"], "bad": ["affreux", "ennuyeux", "nul"]}),
}  # fmt: skip
TEXTS = [
    (f"{thing} {verb} {word}", language, mood)
    for language, (things, verb, moods) in PARTS.items()
    for thing in things
    for mood, words in moods.items()
    for word in words
]


@pytest.fixture(scope="module")
def paths(tmp_path_factory) -> dict[str, str]:
    """Two real pipelines of scikit-learn, saved as Beam reads them."""
    folder = tmp_path_factory.mktemp("models")
    texts, languages, moods = map(list, zip(*TEXTS, strict=True))
    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 3))
    language = make_pipeline(letters, LogisticRegression(C=50)).fit(texts, languages)
    columns = make_column_transformer((TfidfVectorizer(), 0), (TfidfVectorizer(), 1))
    rows = np.array([texts, languages], object).T
    mood = make_pipeline(columns, LogisticRegression(C=50)).fit(rows, moods)
    for name, model in (("language", language), ("mood", mood)):
        (folder / name).write_bytes(pickle.dumps(model))
    return {name: str(folder / name) for name in ("language", "mood")}


def stages(paths: dict[str, str]) -> tuple[Stage, Stage]:
    language = SklearnModelHandlerNumpy(paths["language"], inference_fn=on_texts)
    mood = SklearnModelHandlerNumpy(paths["mood"]).with_preprocess_fn(as_objects)
    return (
        Stage("language", language.with_postprocess_fn(as_word), inputs="text"),
        Stage("mood", mood.with_postprocess_fn(as_word), inputs=("text", "language")),
    )


def on_texts(model, batch, inference_args):
    if not all(isinstance(text, str) for text in batch):
        raise TypeError("texts expected")
    return model.predict(batch)


def as_objects(values: tuple) -> np.ndarray:
    return np.array(values, object)


def as_word(result: PredictionResult) -> PredictionResult:
    return result._replace(inference=str(result.inference))


def test_the_second_model_reads_the_column_of_the_first(paths):
    ensemble = Ensemble(*stages(paths))
    assert ensemble.inputs == ("text",)
    records = [Record(text, {"text": text}) for text, _, _ in TEXTS]
    results = run(RunEnsemble(ensemble), [*records, Record("bad", {"text": None})])
    found = {r.key: (r.values.get("language"), r.values.get("mood")) for r in results}
    assert found.pop("bad") == (None, None)
    assert found == {text: (language, mood) for text, language, mood in TEXTS}
    [bad] = [r.failure for r in results if r.failure]
    assert (bad.stage, bad.reason) == ("language", "TypeError: texts expected")
    assert all(r.versions == paths for r in results if not r.failure)


class Words(ModelHandler[str, int, None]):
    """A user's own, in ten lines: counts words."""

    def load_model(self):
        return None

    def run_inference(self, batch, model, inference_args=None):
        return [len(text.split()) for text in batch]


class Verdict(Words):
    """Where three branches meet."""

    def run_inference(self, batch, model, inference_args=None):
        return [f"{mood} in {words} {language} words" for language, mood, words in batch]


def test_branches_part_and_meet_and_keys_may_repeat(paths):
    """text -> language -> mood, text -> words, and all of them -> verdict."""
    ensemble = Ensemble(
        Stage("words", Words(), inputs="text"),
        *stages(paths),
        Stage("verdict", Verdict(), inputs=("language", "mood", "words")),
    )
    some = TEXTS[::5]
    twice = [Record("one key", {"text": text}) for text, _, _ in some for _ in range(2)]
    results = run(RunEnsemble(ensemble), [*twice, Record("one key", {"text": 5})])
    expected = Counter(
        {f"{mood} in {len(text.split())} {language} words": 0 for text, language, mood in some}
    )
    for text, language, mood in some:
        expected[f"{mood} in {len(text.split())} {language} words"] += 2
    assert Counter(r.values["verdict"] for r in results if not r.failure) == expected
    assert [r.failure.stage for r in results if r.failure] == ["words"]
    assert all(r.key == "one key" for r in results)
    for record in results:
        if not record.failure:
            [(language, mood)] = {(lang, m) for t, lang, m in some if t == record.values["text"]}
            words = len(record.values["text"].split())
            assert record.values["verdict"] == f"{mood} in {words} {language} words"
