"""Scores the small BLIP and CLIP on scenes whose pairs of neighbours were held out of training.

    python data/score_captions.py --models data/captions

Writes scores.json beside the models: how often the best caption is exactly right by CLIP's ranking
and in BLIP's own order (by log-probability), their paired difference with its interval, and the
share of scenes that have the right caption among the candidates at all.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import make_scenes as scenes
import numpy as np

from components.caption_evaluator.compare import paired, wilson
from components.captioning.blip import BlipCaptioner
from components.captioning.caption import RankedCaption
from components.captioning.clip import ClipRanker
from components.images.decode import Pixels
from user_code.captions import HPARAMS

SEED = 777
"""Another one than that of training and of the scenes that come with us."""
BATCH = 50
CONFIDENCE = 0.95


def score(models: Path, count: int, seed: int) -> dict[str, object]:
    """Captions `count` held-out scenes and compares with what was drawn."""
    rng = np.random.default_rng(seed)
    drawn = [scenes.draw_scene(rng, held_out=True) for _ in range(count)]
    images = [np.asarray(scenes.render(scene, rng)) for scene in drawn]
    ranked = list(_ranked(models, images))
    pairs = list(zip(ranked, [scene.caption for scene in drawn], strict=True))
    by_clip = np.array([found[0].text == right for found, right in pairs])
    by_blip = np.array([_own(found).text == right for found, right in pairs])
    among = np.array([right in [one.text for one in found] for found, right in pairs])
    low, high = wilson(int(by_clip.sum()), count, CONFIDENCE)
    return {
        "scenes": count,
        "seed": seed,
        "hparams": dict(HPARAMS),
        "exact_match": float(by_clip.mean()),
        "exact_match_interval": [round(low, 4), round(high, 4)],
        "own_order_exact_match": float(by_blip.mean()),
        "oracle_exact_match": float(among.mean()),
        "clip_minus_own_order": asdict(paired(by_clip, by_blip, CONFIDENCE)),
    }


def _ranked(models: Path, images: list[Pixels]) -> Iterator[tuple[RankedCaption, ...]]:
    captioner = BlipCaptioner(str(models / "blip"), **HPARAMS)
    ranker = ClipRanker(str(models / "clip"))
    blip, clip = captioner.load_model(), ranker.load_model()
    for start in range(0, len(images), BATCH):
        batch = images[start : start + BATCH]
        captions = [result.inference for result in captioner.run_inference(batch, blip)]
        pairs = list(zip(batch, captions, strict=True))
        yield from (result.inference for result in ranker.run_inference(pairs, clip))


def _own(found: tuple[RankedCaption, ...]) -> RankedCaption:
    """The captioner's first."""
    return min(found, key=lambda one: one.place)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=Path, required=True, help="folder of blip/ and clip/")
    parser.add_argument("--scenes", type=int, default=500, help="how many")
    parser.add_argument("--seed", type=int, default=SEED)
    arguments = parser.parse_args()
    scores = score(arguments.models, arguments.scenes, arguments.seed)
    text = json.dumps(scores, indent=1)
    (arguments.models / "scores.json").write_text(f"{text}\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
