r"""Trains the small BLIP and CLIP of the captions pipeline on generated scenes.

    python data/train_captions.py blip --steps 3000 --out data/captions
    python data/train_captions.py clip --steps 5000 --out /tmp/first
    python data/train_captions.py clip --steps 2500 --rate 1e-3 --seed 2 --start /tmp/first/clip \
        --out data/captions

Both are of the classes of the large ones (BlipForConditionalGeneration, CLIPModel), with tokenizers
and image processors of their own, in float16 safetensors. What they are worth, on scenes whose
pairs were held out, is in data/captions/scores.json (`python data/score_captions.py`).

Besides the captions the vision models learn what is at each patch of the picture, by a head that is
thrown away: the scenes know it, and with it an hour of training becomes twenty minutes on one core.
CLIP learns to tell a caption from captions that differ in one word or in order, because these are
the mistakes that a captioner makes.
"""

import argparse
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import make_scenes as scenes
import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from torch import Tensor, nn
from torch.nn import functional
from transformers import (
    BertTokenizer,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessor,
    BlipProcessor,
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPProcessor,
    CLIPTokenizer,
    PreTrainedModel,
    ProcessorMixin,
)

PATCH = 8
"""Pixels of a side of a patch."""
HIDDEN = 128
BATCH = 64
WORDS = ("a", *scenes.SIZES, *scenes.COLOURS, *scenes.SHAPES, "left", "of", "above", "inside")
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]")
WRONG = 4
"""Wrong captions beside each right one, for CLIP."""
SEED = 20261121


@dataclass(frozen=True)
class Batch:
    """Scenes, (n, 3, 64, 64) float32 pixels in [-1, 1], (n, 64, 3) labels of patches."""

    scenes: list[scenes.Scene]
    pixels: Tensor
    patches: Tensor


def draw_batch(rng: np.random.Generator, count: int, held_out: bool = False) -> Batch:
    """Draws scenes with their pictures."""
    drawn = [scenes.draw_scene(rng, held_out) for _ in range(count)]
    placed = [list(scenes.place(scene, rng)) for scene in drawn]
    images = np.stack([np.asarray(scenes.paint(objects, rng)) for objects in placed])
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
    return Batch(drawn, pixels, torch.from_numpy(np.stack([_patches(o) for o in placed])))


def _patches(objects: list[scenes.Placed]) -> np.ndarray:
    """(64, 3) int64: size, colour and shape at the middle of each patch, 0 where there is none."""
    middles = np.arange(PATCH / 2, scenes.SIDE, PATCH)
    labels = np.zeros((len(middles), len(middles), 3), dtype=np.int64)
    for one in reversed(objects):
        rows = np.abs(middles - one.y) <= one.width / 2
        columns = np.abs(middles - one.x) <= one.width / 2
        names = zip((one.kind.size, one.kind.colour, one.kind.shape), _ATTRIBUTES, strict=True)
        labels[np.ix_(rows, columns)] = [1 + list(known).index(name) for name, known in names]
    return labels.reshape(-1, 3)


_ATTRIBUTES = (scenes.SIZES, scenes.COLOURS, scenes.SHAPES)


class PatchHead(nn.Module):
    """Says what is at each patch; only trains the vision model behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.ModuleList(nn.Linear(HIDDEN, 1 + len(known)) for known in _ATTRIBUTES)

    def loss(self, states: Tensor, labels: Tensor) -> Tensor:
        """Mean cross entropy; states (n, 65, HIDDEN) with the class token first."""
        return sum(
            functional.cross_entropy(head(states[:, 1:]).flatten(0, 1), labels[..., i].flatten())
            for i, head in enumerate(self.heads)
        )


class BlipTrainer:
    """Next word of the caption."""

    def __init__(self) -> None:
        self.processor = BlipProcessor(_image_processor(BlipImageProcessor), _bert_tokenizer())
        ids = {name: SPECIAL.index(name) for name in SPECIAL}
        self.model = BlipForConditionalGeneration(
            BlipConfig(
                text_config={
                    "vocab_size": len(SPECIAL) + len(WORDS),
                    "hidden_size": HIDDEN,
                    "encoder_hidden_size": HIDDEN,
                    "intermediate_size": 2 * HIDDEN,
                    "num_hidden_layers": 2,
                    "num_attention_heads": 4,
                    "max_position_embeddings": 32,
                    "bos_token_id": ids["[DEC]"],
                    "eos_token_id": ids["[SEP]"],
                    "sep_token_id": ids["[SEP]"],
                    "pad_token_id": ids["[PAD]"],
                    "hidden_dropout_prob": 0.0,
                    "attention_probs_dropout_prob": 0.0,
                },
                vision_config=_vision_config(),
            )
        )

    def loss(self, batch: Batch, head: PatchHead, rng: np.random.Generator) -> Tensor:
        """Cross entropy of all words but the first."""
        states = self.model.vision_model(batch.pixels).last_hidden_state
        ids = self._ids(batch.scenes)
        logits = self.model.text_decoder(
            input_ids=ids[:, :-1],
            attention_mask=(ids[:, :-1] != 0).long(),
            encoder_hidden_states=states,
        ).logits
        words = functional.cross_entropy(
            logits.flatten(0, 1), ids[:, 1:].flatten(), ignore_index=SPECIAL.index("[PAD]")
        )
        return words + 0.3 * head.loss(states, batch.patches)

    @torch.no_grad()
    def score(self, batch: Batch) -> float:
        """Share of exactly right captions, decoded greedily."""
        made = self.model.generate(pixel_values=batch.pixels, max_length=24, do_sample=False)
        captions = self.processor.batch_decode(made, skip_special_tokens=True)
        right = [c == s.caption for c, s in zip(captions, batch.scenes, strict=True)]
        return float(np.mean(right))

    def _ids(self, of: list[scenes.Scene]) -> Tensor:
        rows = self.processor.tokenizer(
            [scene.caption for scene in of], padding=True, return_tensors="pt"
        ).input_ids
        rows[:, 0] = SPECIAL.index("[DEC]")
        return rows


class ClipTrainer:
    """Which of many captions, most of them nearly right."""

    def __init__(self) -> None:
        tokenizer = _clip_tokenizer()
        self.processor = CLIPProcessor(_image_processor(CLIPImageProcessor), tokenizer)
        self.model = CLIPModel(
            CLIPConfig(
                text_config={
                    "vocab_size": len(tokenizer),
                    "hidden_size": HIDDEN,
                    "intermediate_size": 2 * HIDDEN,
                    "num_hidden_layers": 3,
                    "num_attention_heads": 4,
                    "max_position_embeddings": 32,
                    "bos_token_id": tokenizer.bos_token_id,
                    "eos_token_id": tokenizer.eos_token_id,
                    "pad_token_id": tokenizer.pad_token_id,
                },
                vision_config=_vision_config(),
                projection_dim=HIDDEN,
            )
        )

    def loss(self, batch: Batch, head: PatchHead, rng: np.random.Generator) -> Tensor:
        """Contrast of each picture with all captions, and of right captions with all pictures."""
        right = [scene.caption for scene in batch.scenes]
        wrong = [w.caption for scene in batch.scenes for w in _nearly(scene, rng)]
        seen = self.model.vision_model(batch.pixels)
        images = _unit(self.model.visual_projection(seen.pooler_output))
        texts = self._texts(right + wrong)
        logits = self.model.logit_scale.exp() * images @ texts.T
        same = torch.tensor([[a == b for b in right + wrong] for a in right])
        target = torch.arange(len(right))
        same[target, target] = False
        logits = logits.masked_fill(same, -math.inf)
        contrast = functional.cross_entropy(logits, target) + 0.5 * functional.cross_entropy(
            logits[:, : len(right)].T, target
        )
        return contrast + 0.3 * head.loss(seen.last_hidden_state, batch.patches)

    @torch.no_grad()
    def score(self, batch: Batch) -> float:
        """Share of pictures whose caption is liked better than eight that are nearly right."""
        rng = np.random.default_rng(SEED)
        pools = [[s, *_nearly(s, rng), *_nearly(s, rng)] for s in batch.scenes]
        texts = self._texts([s.caption for pool in pools for s in pool])
        seen = self.model.vision_model(batch.pixels).pooler_output
        images = _unit(self.model.visual_projection(seen))
        logits = (images[:, None] * texts.view(len(pools), -1, HIDDEN)).sum(-1)
        return float((logits.argmax(1) == 0).float().mean())

    def _texts(self, captions: list[str]) -> Tensor:
        rows = self.processor.tokenizer(captions, padding=True, return_tensors="pt")
        pooled = self.model.text_model(**rows).pooler_output
        return _unit(self.model.text_projection(pooled))


def _nearly(scene: scenes.Scene, rng: np.random.Generator) -> Iterator[scenes.Scene]:
    """WRONG scenes that differ in a word or in order, none of them held out."""
    found = 0
    while found < WRONG:
        other = _changed(scene, rng)
        if other.caption != scene.caption and (scene.is_held_out or not other.is_held_out):
            found += 1
            yield other


def _changed(scene: scenes.Scene, rng: np.random.Generator) -> scenes.Scene:
    kinds = list(scene.kinds)
    which = int(rng.integers(len(kinds)))
    match rng.choice(["size", "colour", "shape", "shape", "order", "relation", "count"]):
        case "size" if scene.relation != "inside":
            kinds[which] = replace(kinds[which], size=str(rng.choice(list(scenes.SIZES))))
        case "colour":
            kinds[which] = replace(kinds[which], colour=str(rng.choice(list(scenes.COLOURS))))
        case "shape":
            kinds[which] = replace(kinds[which], shape=str(rng.choice(scenes.SHAPES)))
        case "order" if scene.relation != "inside":
            kinds = [kinds[i] for i in rng.permutation(len(kinds))]
        case "relation" if len(kinds) > 1 and scene.relation != "inside":
            return replace(scene, relation=str(rng.choice(scenes.RELATIONS[:2])))
        case "count" if scene.relation != "inside" and len(kinds) == 2:
            kinds.insert(which, kinds[int(rng.integers(2))])
        case "count" if scene.relation != "inside" and len(kinds) == 3:
            kinds.pop(which)
    return replace(scene, kinds=tuple(kinds))


def _unit(rows: Tensor) -> Tensor:
    return rows / rows.norm(dim=-1, keepdim=True)


def _vision_config() -> dict[str, int]:
    return {
        "hidden_size": HIDDEN,
        "intermediate_size": 2 * HIDDEN,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "image_size": scenes.SIDE,
        "patch_size": PATCH,
    }


def _image_processor(kind: type) -> BlipImageProcessor | CLIPImageProcessor:
    size = {"height": scenes.SIDE, "width": scenes.SIDE}
    half = [0.5, 0.5, 0.5]
    return kind(size=size, do_center_crop=False, image_mean=half, image_std=half)


def _bert_tokenizer() -> BertTokenizer:
    words = {word: i for i, word in enumerate((*SPECIAL, *WORDS))}
    return BertTokenizer(vocab=words, bos_token="[DEC]")  # noqa: S106


def _clip_tokenizer() -> CLIPTokenizer:
    """Byte pairs, merged up to whole words of ours; any other text can be written in bytes."""
    trained = Tokenizer(models.BPE(end_of_word_suffix="</w>", continuing_subword_prefix=""))
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=2000,
        min_frequency=1,
        show_progress=False,
        end_of_word_suffix="</w>",
        initial_alphabet=alphabet,
    )
    trained.train_from_iterator([[word] * 9 for word in WORDS], trainer)
    import json

    made = json.loads(trained.to_str())["model"]
    names = [*made["vocab"], *(f"{c}</w>" for c in alphabet)]
    names = [*dict.fromkeys(names), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(
        vocab={name: i for i, name in enumerate(names)},
        merges=[tuple(merge) for merge in made["merges"]],
    )


def train(trainer: BlipTrainer | ClipTrainer, steps: int, rate: float, seed: int) -> None:
    """Trains with AdamW, a warm-up and a cosine; says now and then how far it is."""
    rng, held_out = np.random.default_rng(seed), np.random.default_rng(SEED + 1)
    asked = draw_batch(held_out, 256, held_out=True)
    head = PatchHead()
    weights = [*trainer.model.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(weights, lr=rate, weight_decay=0.01, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda i: min(1, i / 200) * (0.505 + 0.495 * math.cos(math.pi * i / steps))
    )
    begun = time.monotonic()
    for step in range(1, steps + 1):
        trainer.model.train()
        loss = trainer.loss(draw_batch(rng, BATCH), head, rng)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        schedule.step()
        if step % 250 == 0 or step == steps:
            trainer.model.eval()
            print(
                f"step {step:,} of {steps:,}: loss {loss.item():.4f}, held-out score "
                f"{trainer.score(asked):.3f}, {time.monotonic() - begun:.0f} s",
                flush=True,
            )


def save(model: PreTrainedModel, processor: ProcessorMixin, folder: Path) -> None:
    """Writes half-precision safetensors, tokenizer and image processor."""
    model.half().save_pretrained(folder)
    processor.save_pretrained(folder)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", choices=("blip", "clip"))
    parser.add_argument("--steps", type=int, required=True, help="of 64 scenes each")
    parser.add_argument("--rate", type=float, default=1.5e-3, help="highest learning rate")
    parser.add_argument("--seed", type=int, default=SEED, help="of weights and scenes")
    parser.add_argument("--start", type=Path, help="folder of a model to train further")
    parser.add_argument("--out", type=Path, required=True, help="folder for blip/ and clip/")
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    trainer = BlipTrainer() if arguments.model == "blip" else ClipTrainer()
    if arguments.start:
        trainer.model = type(trainer.model).from_pretrained(arguments.start, dtype=torch.float32)
    train(trainer, arguments.steps, arguments.rate, arguments.seed)
    save(trainer.model, trainer.processor, arguments.out / arguments.model)


if __name__ == "__main__":
    main()
