"""Makes scenes of coloured shapes whose captions are exactly right.

    python data/make_scenes.py --scenes 200 --seed 1 --out /tmp/scenes
    python data/make_scenes.py --scenes 500 --seed 2 --held-out --out /tmp/scenes_held_out

A scene has one to three objects of two sizes, six colours and three shapes, in a row, in a column,
or one inside another, on a varied and noisy ground. The caption follows from it and from nothing
else; there are 96,210 of them:

    a small red circle
    a large blue square left of a small green circle
    a small red circle above a large blue square above a small green triangle
    a small white triangle inside a large purple circle

A fifth of all pairs of neighbours (`a large blue square` with `a small green circle`) is held out:
such scenes are made with --held-out only, so that a model can be asked what it never saw.

The folder holds the images (000000.png ...) and captions.csv: file, caption, objects, colours.
"""

import argparse
import csv
import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SIDE = 64
"""Pixels, of width and height."""
SHAPES = ("circle", "square", "triangle")
SIZES = {"small": (9.0, 11.0), "large": (16.0, 18.5)}
"""Least and greatest width, pixels."""
CONTAINER = (34.0, 42.0)
"""Width of an object with another one inside."""
COLOURS = {
    "red": (214, 36, 36), "green": (30, 160, 60), "blue": (36, 70, 220),
    "yellow": (240, 214, 30), "purple": (150, 40, 180), "white": (250, 250, 250),
}  # fmt: skip
RELATIONS = ("left of", "above", "inside")
_FINE = 4  # drawn so many times larger, and made smaller: smooth edges


@dataclass(frozen=True)
class Kind:
    """What a caption says of one object."""

    size: str
    colour: str
    shape: str

    def __str__(self) -> str:
        return f"a {self.size} {self.colour} {self.shape}"


@dataclass(frozen=True)
class Placed:
    """An object in the picture; centre and width in pixels."""

    kind: Kind
    x: float
    y: float
    width: float


@dataclass(frozen=True)
class Scene:
    """Objects from left to right, from top to bottom, or from the inside out."""

    kinds: tuple[Kind, ...]
    relation: str
    """Of RELATIONS; "" for one object."""

    @property
    def caption(self) -> str:
        return f" {self.relation} ".join(map(str, self.kinds))

    @property
    def is_held_out(self) -> bool:
        """Whether two neighbours are a pair that training never sees, in either order."""
        return any(itertools.starmap(_pair_is_held_out, itertools.pairwise(self.kinds)))


def _pair_is_held_out(one: Kind, other: Kind) -> bool:
    text = " with ".join(sorted((str(one), str(other))))
    return hashlib.sha256(text.encode()).digest()[0] < 256 // 5


def draw_scene(rng: np.random.Generator, held_out: bool = False) -> Scene:
    """Draws a scene at random, from those that are held out or from the others."""
    while True:
        scene = _any_scene(rng)
        if scene.is_held_out == held_out:
            return scene


def _any_scene(rng: np.random.Generator) -> Scene:
    count = int(rng.choice([1, 2, 3], p=[0.15, 0.45, 0.4]))
    relations = {1: ("",), 2: RELATIONS, 3: RELATIONS[:2]}[count]
    relation = str(rng.choice(relations))
    sizes = ["small", "large"] if relation == "inside" else rng.choice(list(SIZES), count)
    kinds = tuple(
        Kind(str(size), str(rng.choice(list(COLOURS))), str(rng.choice(SHAPES))) for size in sizes
    )
    if relation == "inside" and kinds[0].colour == kinds[1].colour:
        return _any_scene(rng)  # nobody could see it
    return Scene(kinds, relation)


def render(scene: Scene, rng: np.random.Generator) -> Image.Image:
    """Draws the picture of a scene: SIDE x SIDE, RGB. Places, sizes and ground are random."""
    return paint(list(place(scene, rng)), rng)


def paint(objects: list[Placed], rng: np.random.Generator) -> Image.Image:
    """Draws objects, the first on top, on a random ground."""
    canvas = Image.fromarray(_ground(rng)).resize(
        (SIDE * _FINE, SIDE * _FINE), Image.Resampling.BICUBIC
    )
    pen = ImageDraw.Draw(canvas)
    for one in reversed(objects):
        _draw(pen, one, rng)
    image = canvas.resize((SIDE, SIDE), Image.Resampling.BOX)
    noise = rng.normal(0, rng.uniform(2, 10), (SIDE, SIDE, 3))
    return Image.fromarray((np.asarray(image) + noise).clip(0, 255).astype(np.uint8))


def _ground(rng: np.random.Generator) -> np.ndarray:
    """A coarse greyish texture that is made larger: flat, in a gradient, or in patches."""
    cells = int(rng.choice([1, 2, 3, 6]))
    base = rng.uniform(50, 165) + rng.uniform(-18, 18, 3)
    texture = base + rng.uniform(-20, 20, (cells, cells, 1)) + rng.uniform(-6, 6, (cells, cells, 3))
    return texture.clip(20, 190).astype(np.uint8)


def place(scene: Scene, rng: np.random.Generator) -> Iterator[Placed]:
    """Finds a place for each object."""
    count = len(scene.kinds)
    if scene.relation == "inside":
        centre = rng.uniform(26, SIDE - 26, 2)
        if scene.kinds[1].shape == "triangle":
            inner = centre + np.array([0, 5])  # a triangle is wide at its foot only
        else:
            inner = centre + rng.uniform(-3, 3, 2)
        yield Placed(scene.kinds[0], inner[0], inner[1], rng.uniform(*SIZES["small"]))
        yield Placed(scene.kinds[1], centre[0], centre[1], rng.uniform(*CONTAINER))
        return
    slots = {1: [32.0], 2: [18.0, 46.0], 3: [11.0, 32.0, 53.0]}[count]
    loose = {1: 18.0, 2: 4.0, 3: 1.5}[count]
    middle = rng.uniform(20, SIDE - 20)
    for kind, slot in zip(scene.kinds, slots, strict=True):
        along = slot + rng.uniform(-loose, loose)
        across = middle + rng.uniform(-5, 5)
        x, y = (across, along) if scene.relation == "above" else (along, across)
        yield Placed(kind, x, y, rng.uniform(*SIZES[kind.size]))


def _draw(pen: ImageDraw.ImageDraw, one: Placed, rng: np.random.Generator) -> None:
    shade = np.array(COLOURS[one.kind.colour]) + rng.uniform(-14, 14, 3)
    colour = tuple(int(value) for value in shade.clip(0, 255))
    half = one.width / 2
    box = [value * _FINE for value in (one.x - half, one.y - half, one.x + half, one.y + half)]
    if one.kind.shape == "circle":
        pen.ellipse(box, fill=colour)
    elif one.kind.shape == "square":
        pen.rectangle(box, fill=colour)
    else:
        pen.polygon(
            [((box[0] + box[2]) / 2, box[1]), (box[2], box[3]), (box[0], box[3])], fill=colour
        )


def write_scenes(folder: Path, count: int, seed: int, held_out: bool) -> None:
    """Writes images and captions.csv into a new folder."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    with (folder / "captions.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "caption", "objects", "colours"])
        for number in range(count):
            scene = draw_scene(rng, held_out)
            name = f"{number:06}.png"
            render(scene, rng).save(folder / name)
            colours = "+".join(sorted({kind.colour for kind in scene.kinds}))
            writer.writerow([name, scene.caption, len(scene.kinds), colours])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenes", type=int, default=200, help="how many")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--held-out", action="store_true", help="only scenes kept from training")
    parser.add_argument("--out", type=Path, required=True, help="new folder")
    arguments = parser.parse_args()
    write_scenes(arguments.out, arguments.scenes, arguments.seed, arguments.held_out)


if __name__ == "__main__":
    main()
