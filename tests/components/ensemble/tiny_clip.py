"""A CLIP of the real class, small enough for a test."""

import functools

import torch
from transformers import CLIPConfig, CLIPModel

SIZES = {
    "hidden_size": 8,
    "intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
CLIP = CLIPConfig(
    text_config={**SIZES, "vocab_size": 20, "max_position_embeddings": 6, "eos_token_id": 19},
    vision_config={**SIZES, "image_size": 8, "patch_size": 4},
    projection_dim=5,
)


@functools.cache
def tiny_clip() -> CLIPModel:
    torch.manual_seed(0)
    return CLIPModel(CLIP).eval()


class Clip(CLIPModel):
    """As Beam makes it: from keyword arguments."""

    def __init__(self) -> None:
        super().__init__(CLIP)


def pairs(count: int) -> list[dict]:
    generator = torch.Generator().manual_seed(1)
    return [
        {
            "input_ids": torch.tensor([1, *torch.randint(2, 19, (4,), generator=generator), 19]),
            "pixel_values": torch.randn(3, 8, 8, generator=generator),
        }
        for _ in range(count)
    ]


INPUTS = {"input_ids": "input_ids", "pixel_values": "pixel_values"}


@torch.no_grad()
def clip_alone(pair: dict) -> dict:
    """What CLIP gives for one pair, without the dimension of the batch."""
    return first(tiny_clip()(**{name: value[None] for name, value in pair.items()}))


def first(output):
    if isinstance(output, dict):
        return {name: first(value) for name, value in output.items()}
    return output[0]
