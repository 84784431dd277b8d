"""Live updates on a stream of images: nothing lost, nothing twice, versions in order."""

import gc
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.coders import FastPrimitivesCoder
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing import test_stream

from components.ensemble.graph import Ensemble, Stage
from components.ensemble.live import LiveHandler
from components.ensemble.live_ensemble import live_ensemble
from components.ensemble.record import Record
from components.ensemble.run import RunEnsemble
from components.pusher.versions import PushedVersions
from tests.components.ensemble.bundles import make_bundle
from tests.components.ensemble.handlers import COLLECTED, Double, collect
from tests.components.ensemble.live_models import (
    LOADED,
    Swaps,
    colour_handler,
    colours,
    paint,
    push,
)

WORDS = {1: ("red", "green", "blue"), 2: ("rot", "grün", "blau")}
ALIVE: list[bool] = []


class Doing(beam.DoFn):
    """Passes records on; a marker has something done, and is held until a live model knows.

    Between bundles this runner keeps the model that was loaded last: that of the last stage.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def process(self, record: Record):
        action = record.values.get("do")
        if action == "look":
            gc.collect()
            ALIVE.append(LOADED[f"{self.directory}/1"]() is not None)
        elif callable(action):
            until_seen(action, self.directory)
        yield record


def until_seen(action, directory: Path) -> None:
    with Swaps() as swaps:
        action(directory)
        swaps.wait()


@dataclass
class PushingImage:
    """An image during whose prediction a version is pushed and swapped to."""

    directory: Path
    n: int

    def __call__(self):
        until_seen(push_second, self.directory)
        return paint(self.n % 3, self.n)


def push_second(directory: Path) -> None:
    push(directory, colours(*WORDS[2]))


def push_broken(directory: Path) -> None:
    push(directory, lambda folder: (folder / "model.pkl").write_bytes(b"half a mod"))


def images(begin: int, end: int) -> list[Record]:
    return [Record(f"image {n}", {"image": paint(n % 3, n), "n": n}) for n in range(begin, end)]


def marker(action) -> list[Record]:
    return [Record("marker", {"do": action})]


def run_stream(transform, directory, *bundles) -> list[Record]:
    COLLECTED.clear()
    stream = test_stream.TestStream(coder=FastPrimitivesCoder())
    for bundle in bundles:
        stream = stream.add_elements(bundle)
    options = PipelineOptions([], streaming=True)
    with beam.Pipeline(runner="BundleBasedDirectRunner", options=options) as pipeline:
        records = pipeline | stream.advance_watermark_to_infinity()
        _ = (
            records
            | "Do" >> beam.ParDo(Doing(directory))
            | "Run" >> transform
            | "Collect" >> beam.Map(collect)
        )
    return list(COLLECTED)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    push(tmp_path / "pushed", colours(*WORDS[1]))
    return tmp_path / "pushed"


def live_colours(directory: Path, *stages: str) -> Ensemble:
    handler = LiveHandler(str(directory), colour_handler, poll_s=0.01)
    return Ensemble(*(Stage(stage, handler, inputs="image") for stage in stages))


def check(results: list[Record], directory: Path, stage: str, first: int, end: int) -> None:
    """Versions 1 then 2, changing at record `first`, each with its own words."""
    good = [r for r in results if not r.failure]
    assert Counter(r.key for r in good) == {f"image {n}": 1 for n in range(end)}
    for record in good:
        n = record.values["n"]
        version = 1 if n < first else 2
        assert record.versions[stage] == f"{directory}/{version}"
        assert record.values[stage] == WORDS[version][n % 3]


def test_a_swap_in_the_middle_of_a_stream_of_images(directory):
    ALIVE.clear()
    pushing = Record("image 9", {"image": PushingImage(directory, 9), "n": 9})
    results = run_stream(
        RunEnsemble(live_colours(directory, "colour")), directory,
        [*images(0, 9), pushing, *images(10, 21)], marker("look"), images(21, 30), images(30, 40),
    )  # fmt: skip
    check(results, directory, "colour", first=12, end=40)  # batches of 4: 8 to 11 stay together
    order = [r.versions["colour"] for r in results if not r.failure]
    assert order == sorted(order)
    assert ALIVE == [False]  # the old model was freed while the stream went on
    [look] = [r for r in results if r.failure]
    assert look.failure.reason == "the record has no image"


def test_stages_follow_the_directory_each_on_its_own(directory):
    stages = live_colours(directory, "colour", "again").stages
    ensemble = Ensemble(stages[0], Stage("twice", Double(), inputs="n"), stages[1])
    results = run_stream(
        RunEnsemble(ensemble), directory, images(0, 12), marker(push_second), images(12, 20)
    )
    check(results, directory, "colour", first=12, end=20)
    check(results, directory, "again", first=12, end=20)
    assert all(r.values["twice"] == 2 * r.values["n"] for r in results if not r.failure)


def test_a_version_that_cannot_be_loaded_changes_nothing(directory, caplog):
    results = run_stream(
        RunEnsemble(live_colours(directory, "colour", "again")), directory,
        images(0, 10), marker(push_broken), images(10, 20), marker(push_second), images(20, 30),
    )  # fmt: skip
    good = [r for r in results if not r.failure]
    assert Counter(r.key for r in good) == {f"image {n}": 1 for n in range(30)}
    for record in good:
        n = record.values["n"]
        version = f"{directory}/{1 if n < 20 else 3}"
        assert record.versions == {"colour": version, "again": version}
        assert record.values["colour"] == WORDS[1 if n < 20 else 2][n % 3]
    assert "still serving version 1: UnpicklingError" in caplog.text


def test_a_pushed_ensemble_is_live_as_a_whole(tmp_path):
    directory = tmp_path / "pushed"
    push_bundle(directory, 2)
    numbers = [[Record(str(x), {"x": x}) for x in range(s, s + 10)] for s in (0, 10)]
    ensemble = live_ensemble(str(directory), 0.01)
    results = run_stream(
        RunEnsemble(ensemble), directory, numbers[0], marker(push_bundle), numbers[1]
    )
    found = {r.values["x"]: r for r in results if not r.failure}
    assert len(results) == 21 and set(found) == set(range(20))
    for x, record in found.items():
        version = 1 if x < 10 else 2
        assert record.versions == dict.fromkeys(("scaled", "total"), f"{directory}/{version}")
        assert record.values["total"] == (x + x * (version + 1)) * 10


def push_bundle(directory: Path, factor: float = 3) -> None:
    uri = make_bundle(directory.with_name(f"bundle-{factor}"), factor)
    current = PushedVersions(str(directory)).current()
    PushedVersions(str(directory)).push(uri, uri, current.number if current else 0, keep=2)


def test_an_ensemble_with_other_stages_is_not_swapped_to(tmp_path):
    directory = tmp_path / "pushed"
    push_bundle(directory, 2)
    model = live_ensemble(str(directory), 3600).stages[0].handler.load_model()
    push(directory, lambda folder: make_bundle(folder, 3, stage="other"))
    assert not model.refresh()
    assert "has no stage scaled of x; push an ensemble with the same stages" in model.failure
