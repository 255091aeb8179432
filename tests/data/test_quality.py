"""Facts about pictures."""

import numpy as np
from conftest import scene

from cnn.data import quality


def test_colour_features_are_mean_and_deviation_of_each_channel():
    noise = np.random.default_rng(0).integers(0, 256, (1000, 9, 3), np.uint8)
    for image in (np.asarray(scene(0)), np.full((5, 7, 3), (1, 2, 250), np.uint8), noise):
        expected = [*image.mean(axis=(0, 1)), *image.std(axis=(0, 1))]
        np.testing.assert_allclose(quality.colour_features(np.stack([image * 0, image]))[1], expected, atol=1e-6)


def test_grey_is_what_shows_no_colour_whatever_its_mode():
    grey = np.repeat(np.random.default_rng(0).integers(0, 240, (9, 9, 1), dtype=np.uint8), 3, axis=2)
    assert quality.is_grey(grey)
    assert quality.is_grey(grey + np.array([0, quality.GREY, 0], np.uint8))
    assert not quality.is_grey(grey + np.array([0, quality.GREY + 1, 0], np.uint8))
    grey[5, 3] = (0, quality.GREY + 1, 0)  # one pixel is enough
    assert not quality.is_grey(grey)
