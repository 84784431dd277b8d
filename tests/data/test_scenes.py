"""Scenes and their captions."""

import csv
import importlib.util
import itertools
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SCRIPT = Path(__file__).resolve().parents[2] / "data" / "make_scenes.py"


@pytest.fixture(scope="module")
def scenes():
    spec = importlib.util.spec_from_file_location("make_scenes", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def all_scenes(module):
    kinds = [
        module.Kind(*k) for k in itertools.product(module.SIZES, module.COLOURS, module.SHAPES)
    ]
    for count, relation in [(1, ""), (2, "left of"), (2, "above"), (3, "left of"), (3, "above")]:
        for chosen in itertools.product(kinds, repeat=count):
            yield module.Scene(chosen, relation)
    for inner, outer in itertools.product(kinds, kinds):
        if (inner.size, outer.size) == ("small", "large") and inner.colour != outer.colour:
            yield module.Scene((inner, outer), "inside")


def test_there_are_as_many_captions_as_the_script_says(scenes):
    captions = [scene.caption for scene in all_scenes(scenes)]
    assert len(captions) == len(set(captions)) == 96_210
    assert f"{len(captions):,} of them" in scenes.__doc__


def test_held_out_pairs_are_a_fifth_and_never_mixed(scenes):
    pairs = [s for s in all_scenes(scenes) if len(s.kinds) == 2 and s.relation == "above"]
    assert 0.17 < np.mean([s.is_held_out for s in pairs]) < 0.23
    rng = np.random.default_rng(0)
    drawn = {held: [scenes.draw_scene(rng, held) for _ in range(500)] for held in (False, True)}
    pairs_of = {
        held: {frozenset(pair) for s in of for pair in itertools.pairwise(s.kinds)}
        for held, of in drawn.items()
    }
    assert all(s.is_held_out for s in drawn[True])
    assert not any(
        scenes.Scene(tuple(pair), "above").is_held_out for pair in pairs_of[False] if len(pair) == 2
    )


def test_the_picture_shows_what_the_caption_says(scenes):
    red, blue = scenes.Kind("large", "red", "square"), scenes.Kind("large", "blue", "square")
    for relation, axis in (("left of", 1), ("above", 0)):
        scene = scenes.Scene((red, blue), relation)
        pixels = np.asarray(scenes.render(scene, np.random.default_rng(3)), int)
        where = [np.argwhere(pixels[..., c] - pixels[..., 2 - c] > 100).mean(0) for c in (0, 2)]
        assert where[0][axis] + 15 < where[1][axis]


def test_the_same_seed_gives_the_same_files(scenes, tmp_path):
    for name in ("a", "b"):
        scenes.write_scenes(tmp_path / name, 5, seed=7, held_out=False)
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert len(files) == 6
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    rows = list(csv.DictReader((tmp_path / "a" / "captions.csv").open()))
    assert Image.open(tmp_path / "a" / rows[0]["file"]).size == (64, 64)
    assert all(len(row["caption"].split(" a ")) == int(row["objects"]) for row in rows)
