"""Writes several captions of each image with one pass of BLIP's vision model."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import (
    BlipForConditionalGeneration,
    DynamicCache,
    EncoderDecoderCache,
)

from components.captioning.noise import gumbel_noise

TOP_K = 50
"""Tokens that are sampled from, as by default in transformers."""


class SharedCrossAttention(nn.Module):
    """BLIP's cross-attention for captions that look at the same image.

    The usual way repeats keys and values of an image for each of its captions, and reads all of
    them at every token: most of the time of a decoder. Here the captions of an image are several
    queries to one copy. Rows come image by image, as many for each.
    """

    def __init__(self, attention: Any) -> None:
        super().__init__()
        self.query: nn.Linear = attention.query
        self.key: nn.Linear = attention.key
        self.value: nn.Linear = attention.value
        self.layer_idx = attention.layer_idx
        self.width = attention.attention_head_size

    def forward(
        self,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        past_key_values: EncoderDecoderCache,
        **_: Any,
    ) -> tuple[Tensor, None]:
        """(rows, tokens, hidden) states -> the same shape; all of the image is looked at."""
        keys, values = self._keys_and_values(encoder_hidden_states, past_key_values)
        queries = self.query(hidden_states).view(len(keys), -1, keys.shape[1], self.width)
        seen = functional.scaled_dot_product_attention(queries.transpose(1, 2), keys, values)
        return seen.transpose(1, 2).reshape(hidden_states.shape), None

    def _keys_and_values(self, states: Tensor, cache: EncoderDecoderCache) -> tuple[Tensor, Tensor]:
        """(images, heads, patches, width) each, made once."""
        kept = cache.cross_attention_cache
        if cache.is_updated.get(self.layer_idx):
            layer = kept.layers[self.layer_idx]
            return layer.keys, layer.values
        shape = (*states.shape[:2], -1, self.width)
        keys = self.key(states).view(shape).transpose(1, 2)
        values = self.value(states).view(shape).transpose(1, 2)
        kept.update(keys, values, self.layer_idx)
        cache.is_updated[self.layer_idx] = True
        return keys, values


def share_cross_attention(model: BlipForConditionalGeneration) -> None:
    """Makes all decoder layers look at one copy of each image."""
    for layer in model.text_decoder.bert.encoder.layer:
        layer.crossattention.self = SharedCrossAttention(layer.crossattention.self)


@dataclass(frozen=True)
class Lengths:
    """Tokens of a caption, its start and end included."""

    least: int
    most: int


def sample_captions(
    model: BlipForConditionalGeneration, states: Tensor, seeds: Tensor, lengths: Lengths
) -> tuple[Tensor, Tensor]:
    """Samples captions from the model's distribution.

    Args:
      model: with `share_cross_attention`.
      states: (images, patches, hidden), the vision model's.
      seeds: (images, captions) int64; a caption depends on its image and its seed only.
      lengths: of the captions.

    Returns:
      (images * captions, tokens) int64 without the start, padded; and the sum of the tokens'
      log-probabilities, (images * captions,) float64.
    """
    text = model.config.text_config
    cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
    flat = seeds.reshape(-1, 1)
    token = torch.full((len(states), 1), text.bos_token_id, device=states.device)
    written: list[Tensor] = []
    total = torch.zeros(len(flat), dtype=torch.float64, device=states.device)
    ended = torch.zeros(len(flat), dtype=torch.bool, device=states.device)
    for step in range(1, lengths.most):
        logits = model.text_decoder(
            input_ids=token, encoder_hidden_states=states, past_key_values=cache, use_cache=True
        ).logits[:, -1]
        if step == 1:  # all captions of an image begin alike
            logits = logits.repeat_interleave(seeds.shape[1], dim=0)
            cache.self_attention_cache.batch_repeat_interleave(seeds.shape[1])
        token, log_probability = _drawn(logits, flat, step, lengths, text.sep_token_id)
        token = token.masked_fill(ended[:, None], text.pad_token_id)
        total += log_probability.masked_fill(ended, 0.0)
        written.append(token)
        ended |= token[:, 0] == text.sep_token_id
        if ended.all():
            break
    return torch.cat(written, dim=1), total


def _drawn(
    logits: Tensor, seeds: Tensor, step: int, lengths: Lengths, end: int
) -> tuple[Tensor, Tensor]:
    """The next token of each row, (rows, 1), and its log-probability, (rows,)."""
    log_probabilities = logits.double().log_softmax(-1)
    likely = log_probabilities
    if step + 1 < lengths.least:
        likely = log_probabilities.clone()
        likely[:, end] = -torch.inf
    likely, tokens = likely.topk(min(TOP_K, likely.shape[1]), dim=-1)
    best = (likely + gumbel_noise(seeds, step, tokens)).argmax(-1, keepdim=True)
    token = tokens.gather(1, best)
    return token, log_probabilities.gather(1, token)[:, 0]


def search_captions(
    model: BlipForConditionalGeneration, states: Tensor, beams: int, captions: int, lengths: Lengths
) -> tuple[Tensor, Tensor]:
    """Finds the most probable captions by beam search; shapes as of `sample_captions`."""
    text = model.config.text_config
    made = model.text_decoder.generate(
        torch.full((len(states), 1), text.bos_token_id, device=states.device),
        encoder_hidden_states=states,
        eos_token_id=text.sep_token_id,
        pad_token_id=text.pad_token_id,
        min_length=lengths.least,
        max_length=lengths.most,
        do_sample=False,
        num_beams=beams,
        num_return_sequences=captions,
        output_scores=True,
        return_dict_in_generate=True,
    )
    tokens = model.text_decoder.compute_transition_scores(
        made.sequences, made.scores, made.beam_indices
    )
    return made.sequences[:, 1:], tokens.double().sum(-1)
