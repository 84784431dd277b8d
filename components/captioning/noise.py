"""Random numbers that belong to an image, not to a batch or a worker."""

import hashlib

import torch
from torch import Tensor

from components.images.decode import Pixels

_STEP = -0x61C8864680B583EB
_MIX = ((30, -0x40A7B892E31B1A47), (27, -0x6B2FB644ECCEEE15))


def image_seed(pixels: Pixels, seed: int) -> int:
    """A 63-bit number that depends on the pixels and on the seed only."""
    digest = hashlib.blake2b(pixels.tobytes(), digest_size=8, key=str(seed).encode())
    digest.update(repr(pixels.shape).encode())
    return int.from_bytes(digest.digest()) >> 1


def gumbel_noise(seeds: Tensor, step: int, tokens: Tensor) -> Tensor:
    """Standard Gumbel noise for sampling by `argmax(log p + noise)`.

    A number is a hash of its counter (seed, step, token), so that it is the same in any batch, at
    any place in it, and on any device; a generator with a state would have to be carried along.

    Args:
      seeds: (n, 1) int64, one for each caption.
      step: number of the token in the caption.
      tokens: (n, k) int64.

    Returns:
      (n, k) float64.

    Source: Salmon et al. 2011, Parallel random numbers: as easy as 1, 2, 3; the mixing function is
    SplitMix64 (Steele et al. 2014); Gumbel-max: Maddison et al. 2014.
    """
    bits = _mixed(_mixed(_mixed(seeds) + step) + tokens)
    uniform = ((bits >> 11) & ((1 << 53) - 1)).double().add(0.5) / (1 << 53)
    return -torch.log(-torch.log(uniform))


def _mixed(bits: Tensor) -> Tensor:
    """SplitMix64 on two's complement, which wraps around; `>>` has to be made logical."""
    bits = bits + _STEP
    for shift, factor in _MIX:
        bits = (bits ^ ((bits >> shift) & ((1 << (64 - shift)) - 1))) * factor
    return bits ^ ((bits >> 31) & ((1 << 33) - 1))
