"""Random numbers of images."""

import numpy as np
import torch
from scipy import stats

from components.captioning.noise import gumbel_noise, image_seed


def noise(seeds, step, tokens):
    return gumbel_noise(torch.tensor(seeds)[:, None], step, torch.tensor([tokens] * len(seeds)))


def test_it_is_gumbel_noise_over_seeds_steps_and_tokens():
    for sample in (
        noise(range(4000), 1, [7]),
        noise([3], 1, range(4000)),
        torch.cat([noise([3], step, [7]) for step in range(4000)]),
    ):
        assert stats.kstest(sample.flatten().numpy(), "gumbel_r").pvalue > 1e-3


def test_neighbouring_seeds_steps_and_tokens_have_nothing_to_do_with_each_other():
    table = torch.stack([noise(range(40), step, range(40)) for step in range(40)]).numpy()
    for axis in range(3):
        one, other = (np.take(table, range(i, 39 + i), axis).ravel() for i in (0, 1))
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.02
    assert len(np.unique(table)) == table.size


def test_a_number_does_not_depend_on_what_stands_beside_it():
    alone = noise([5], 2, [9])
    assert noise([1, 5, 8], 2, [3, 9, 4])[1, 1] == alone[0, 0]


def test_the_seed_is_that_of_the_pixels_and_the_shape():
    pixels = np.zeros((2, 6, 3), np.uint8)
    seed = image_seed(pixels, 0)
    assert seed == image_seed(pixels.copy(), 0) >= 0
    assert seed != image_seed(pixels, 1)
    assert seed != image_seed(pixels.reshape(6, 2, 3), 0)
    other = pixels.copy()
    other[1, 5, 2] = 1
    assert seed != image_seed(other, 0)
