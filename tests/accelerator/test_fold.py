"""The folded network gives the plain network's numbers: outputs, gradients, and losses of a training."""

from collections.abc import Callable

import numpy as np
import pytest
from conftest import DEFAULTS
from hypothesis import given, settings
from hypothesis import strategies as st

from cnn.accelerator import convolution, fold, layout
from cnn.common import params
from cnn.common.task import Classification
from cnn.model.backend import keras
from cnn.model.backend import tensorflow as tf
from cnn.model.build import build


def plain(size: int, depth: int, activation: str, classes: str = "abcd", seed: int = 0, **others) -> keras.Model:
    keras.utils.set_random_seed(seed)
    values = DEFAULTS | {"image_size": size, "depth": depth, "activation": activation} | others
    return build(params.check(values), Classification(tuple(classes)))


def pictures(size: int, count: int = 3, seed: int = 0) -> np.ndarray:
    """Noise with a flat corner, where neighbouring convolutions are equal and pooling has to choose."""
    result = np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    result[:, : size // 2, : size // 2] = 200
    return result


def ours(model: keras.Model, images: np.ndarray, loss: Callable) -> tuple[np.ndarray, list[np.ndarray]]:
    """Outputs and the gradient of each trainable variable, of the folded network."""
    n, count = len(images), len(images) + 2  # as in a last batch, which is filled up
    blocks = fold.Blocks(model, count)
    blocks.load_weights(blocks.flatten_weights())
    blocks.pictures[:n] = layout.fold(images, *layout.of_model(model)).reshape(n, -1)
    variables = [variable for layer in blocks.layers for variable in layer.trainable_variables]
    weights = (np.arange(count) < n).astype(np.float32)
    x = tf.constant(blocks.forward(n, weights))
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = fold.apply_head(blocks.layers, x)[:n]
        value = loss(outputs)
    upstream, *gradients = tape.gradient(value, [x, *variables])
    gradients = [*blocks.gradients(*blocks.backward(n, weights, upstream)), *gradients]
    pairs = zip([*blocks.trainable_variables, *variables], gradients, strict=True)
    by_path = {variable.path: gradient for variable, gradient in pairs}
    return np.asarray(outputs), [np.asarray(by_path[variable.path]) for variable in model.trainable_variables]


def compare(model: keras.Model, images: np.ndarray, within: float = 2e-5) -> None:
    """Outputs and every gradient of a weighted sum of squares, of the plain and of the folded network.

    within: the most that two gradients may differ, in parts of the variable's largest one.
    """
    # Without weights, the gradient is nothing but rounding where all classes are equally probable.
    weights = np.arange(1, model.output_shape[-1] + 1, dtype=np.float32)
    with tf.GradientTape() as tape:
        expected = model(images, training=True)
        loss = tf.reduce_sum(weights * expected**2)
    gradients = tape.gradient(loss, model.trainable_variables)

    outputs, our_gradients = ours(model, images, lambda outputs: tf.reduce_sum(weights * outputs**2))
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=2e-6)
    for variable, gradient, by_keras in zip(model.trainable_variables, our_gradients, gradients, strict=True):
        scale = np.abs(by_keras).max() + 1e-6
        np.testing.assert_allclose(gradient / scale, by_keras / scale, atol=within, err_msg=variable.path)


@given(
    st.integers(8, 41),
    st.integers(1, 4),
    st.sampled_from(["relu", "tanh", "sigmoid", "gelu", "softmax"]),
    st.booleans(),
    st.integers(0, 99),
)
@settings(max_examples=8, deadline=None)
def test_any_size_and_depth_gives_the_plain_networks_outputs_and_gradients(size, depth, activation, normalized, seed):
    depth = min(depth, params.largest_depth(size))
    model = plain(size, depth, activation, seed=seed, batch_normalization=normalized)
    # The variance of as few numbers as the smallest sizes leave costs float32 some of its digits.
    compare(model, pictures(size, seed=seed), within=2e-4 if normalized else 2e-5)


def test_the_gradient_passes_a_batch_normalization():
    compare(plain(23, 2, "relu", batch_normalization=True), pictures(23))


@pytest.mark.parametrize("activation", params.ACTIVATIONS)
def test_every_activation_keeps_its_place(activation):
    # x - tanh(x) of a small x leaves few of float32's digits: Keras itself is 1e-3 from float64 there.
    compare(plain(13, 1, activation), pictures(13), within=2e-3 if activation == "tanh_shrink" else 2e-5)


@pytest.mark.parametrize("activation", ["relu", "gelu", "softmax"])  # rises; does not; looks at all channels
def test_an_activation_keeps_its_place_between_two_blocks(activation):
    compare(plain(20, 2, activation), pictures(20))


def test_the_rising_activations_rise():
    numbers = np.linspace(-30, 30, 100_001, dtype=np.float32)
    for name in sorted(convolution.MONOTONIC):
        values = np.asarray(keras.activations.get(name)(numbers))
        assert (np.diff(values) >= -1e-6 * np.abs(values[1:]).clip(1)).all(), name  # but for rounding


def test_the_articles_size_and_the_loss_of_two_classes():
    compare(plain(96, 2, "relu"), pictures(96))
    compare(plain(96, 3, "relu"), pictures(96))
    compare(plain(33, 2, "sigmoid", classes="ab"), pictures(33))


def test_dropout_drops_the_share_it_should_and_keeps_the_mean():
    numbers = np.asarray(fold.drop(tf.ones((100, 1000)), 0.3, tf.constant([1, 2])))
    assert set(np.unique(numbers)) == {0.0, np.float32(1 / 0.7)}
    assert np.mean(numbers == 0) == pytest.approx(0.3, abs=0.01)
    assert numbers.mean() == pytest.approx(1, abs=0.01)


def test_a_batch_filled_up_is_normalized_as_the_smaller_one():
    keras.utils.set_random_seed(0)
    layer = keras.layers.BatchNormalization(momentum=0.9)
    x = np.random.default_rng(0).normal(3, 2, (6, 5, 4, 2)).astype(np.float32)  # n, h, w, F
    expected = layer(x, training=True)
    averages = [np.array(layer.moving_mean), np.array(layer.moving_variance)]
    ours = keras.layers.BatchNormalization(momentum=0.9)
    ours.build(x.shape)
    filled = np.concatenate([x, np.full((2, 5, 4, 2), 99, np.float32)]).transpose(0, 3, 1, 2).reshape(8, 1, 1, 2, 20)
    filled = np.pad(filled, [(0, 0)] * 4 + [(0, 12)], constant_values=99)  # places that are no windows
    seen = (np.arange(32) < 20).reshape(1, 1, 1, 32)
    normalized = fold.normalize(ours, tf.constant(filled), seen, tf.constant([1.0] * 6 + [0.0] * 2))
    normalized = np.asarray(normalized)[:6, 0, 0, :, :20].reshape(6, 2, 5, 4)
    np.testing.assert_allclose(normalized.transpose(0, 2, 3, 1), expected, atol=1e-5)
    np.testing.assert_allclose([ours.moving_mean, ours.moving_variance], averages, rtol=1e-5)


def test_of_equal_places_the_first_has_the_gradient():
    model = plain(8, 1, "relu")
    flat = np.full((1, 8, 8, 3), 90, np.uint8)
    compare(model, flat)
