"""What benchmarks/captions.py works on: photographs, scenes and models, made once and kept."""

import importlib.util
import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache" / "benchmarks" / "captions"
STATE = "state_dict.pt"
"""Beside the safetensors: the weights as Beam's PyTorch handlers load them."""

_SYLLABLES = ["".join(pair) for pair in itertools.product("bcdfghjklmnpqrstvwxyz", "aeiou")]
_BERT_SPECIAL = {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 103: "[MASK]"}
_BERT_WORDS = 30_522
_CLIP_WORDS = 49_406
_NEVER = -1e4


def photographs(count: int) -> list[str]:
    """JPEG files of crops and flips of scikit-learn's two photographs, 640 x 427 and smaller."""
    return _files(_made(f"photographs-{count}", lambda folder: _write_photographs(folder, count)))


def scenes(count: int) -> list[str]:
    """PNG files of drawn scenes, 64 x 64."""
    make_scenes = _script("make_scenes")
    return _files(
        _made(f"scenes-{count}", lambda folder: make_scenes.write_scenes(folder, count, 7, False))
    )


def base_models() -> Path:
    """blip/ and clip/: the sizes of blip-image-captioning-base and clip-vit-base-patch32.

    Their weights are random: how fast they are does not depend on them. The words are random too,
    one token each in either vocabulary, and no caption ends before its greatest length.
    """
    return _made("base", _write_base_models)


def tiny_models(source: Path) -> Path:
    """blip/ and clip/ of `source` in float32, for Beam's handlers take weights as they are."""
    import torch
    from transformers import BlipForConditionalGeneration, BlipProcessor, CLIPModel, CLIPProcessor

    target = CACHE / "tiny"
    for name, model, processor in (
        ("blip", BlipForConditionalGeneration, BlipProcessor),
        ("clip", CLIPModel, CLIPProcessor),
    ):
        if not (source / name / "config.json").exists():
            sys.exit(f"there is no model in {source / name}; data/train_captions.py trains one")
        loaded = model.from_pretrained(source / name, dtype=torch.float32)
        _save(loaded, processor.from_pretrained(source / name), target / name)
    return target


def _made(name: str, make: Callable[[Path], None]) -> Path:
    """The folder of that name, whole: made under another one first."""
    folder = CACHE / name
    if not folder.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        unfinished = CACHE / f"{name}.unfinished"
        if unfinished.exists():
            sys.exit(f"{unfinished} is being made by another run, or a killed one: remove it then")
        make(unfinished)
        unfinished.rename(folder)
    return folder


def _files(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.iterdir() if path.suffix in (".jpg", ".png"))


def _script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "data" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # for its dataclasses
    spec.loader.exec_module(module)
    return module


def _write_photographs(folder: Path, count: int) -> None:
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_sample_images

    rng = np.random.default_rng(7)
    photos = [Image.fromarray(pixels) for pixels in load_sample_images().images]
    folder.mkdir()
    for number in range(count):
        photo = photos[number % len(photos)]
        width, height = (int(side * rng.uniform(0.7, 1)) for side in photo.size)
        left, top = int(rng.integers(photo.width - width)), int(rng.integers(photo.height - height))
        crop = photo.crop((left, top, left + width, top + height))
        if rng.random() < 0.5:
            crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        crop.save(folder / f"{number:06}.jpg", quality=90)


def _write_base_models(folder: Path) -> None:
    import torch
    from transformers import (
        BlipForConditionalGeneration,
        BlipImageProcessor,
        BlipProcessor,
        CLIPConfig,
        CLIPImageProcessor,
        CLIPModel,
        CLIPProcessor,
    )

    torch.manual_seed(7)
    blip = BlipForConditionalGeneration(_blip_config())
    with torch.no_grad():
        bias = blip.text_decoder.cls.predictions.bias
        bias[[*_BERT_SPECIAL, _BERT_WORDS, _BERT_WORDS + 1]] = _NEVER
        blip.text_decoder.cls.predictions.decoder.bias.copy_(bias)
    _save(blip, BlipProcessor(BlipImageProcessor(), _bert_tokenizer()), folder / "blip")
    clip = CLIPModel(CLIPConfig())
    _save(clip, CLIPProcessor(CLIPImageProcessor(), _clip_tokenizer()), folder / "clip")


def _blip_config() -> Any:
    """The library's defaults but for two of them.

    The published model has 12 heads in its text decoder, and nobody's vision weights are 1e-10.
    """
    from transformers import BlipConfig

    return BlipConfig(
        text_config={"num_attention_heads": 12}, vision_config={"initializer_range": 0.02}
    )


def _save(model: Any, processor: Any, folder: Path) -> None:
    import torch

    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    torch.save(model.state_dict(), folder / STATE)


def _words() -> Iterator[str]:
    """Of two syllables, then of three."""
    for length in (2, 3):
        yield from map("".join, itertools.product(_SYLLABLES, repeat=length))


def _bert_tokenizer() -> Any:
    from transformers import BertTokenizer

    words = _words()
    names = [_BERT_SPECIAL.get(i) or next(words) for i in range(_BERT_WORDS)]
    vocabulary = {name: i for i, name in enumerate([*names, "[DEC]", "[ENC]"])}
    return BertTokenizer(vocab=vocabulary, bos_token="[DEC]")


def _clip_tokenizer() -> Any:
    """Byte pairs that make syllables of letters, and words of syllables from their end."""
    from transformers import CLIPTokenizer

    letters = sorted({letter for syllable in _SYLLABLES for letter in syllable})
    merges = [(one[0], f"{one[1]}{end}") for one in _SYLLABLES for end in ("", "</w>")]
    words = itertools.islice(_words(), _BERT_WORDS)
    merges += [(word[:2], f"{word[2:]}</w>") for word in words]
    names = [f"{letter}{end}" for end in ("", "</w>") for letter in letters]
    names += ["".join(merge) for merge in merges]
    names += [f"<unused{i}>" for i in range(_CLIP_WORDS - len(names))]
    names += ["<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={name: i for i, name in enumerate(names)}, merges=merges)
