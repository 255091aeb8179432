"""The folded convolution: a block of the article's network, computed several times faster, exactly.

Conv2D(3x3, valid) - activation - MaxPooling2D(2x2) has few channels (3 in, 6 out), which fill no vector
of the processor. The same numbers come from a wider product: a pooling window sees 4x4 pixels, and on
them four shifted 3x3 kernels. Those, each padded to 4x4, are the columns of one matrix with 16C rows
and 4F columns; the 4x4 windows, which lie 2 pixels apart, are the columns of another. Their product
holds all four convolutions of every window, and pooling is the maximum of four groups of its rows.
For an activation that never falls the maximum may come first, which leaves a quarter of the
activations. The matrix is made of the plain layer's kernel inside the step, so gradients arrive there,
and the weights stay those of the plain network.

A picture is folded as array.fold does it: (Q, Q, 4C, h, w) holds pixel (2Qi + 2p + y, 2Qj + 2r + x) at
[p, r, (y, x, c), i, j]. With Q = 1 the 4x4 windows are four slices, one place apart. With Q = 2 there
are four interleaved sets of windows, and what a block gives of them, (2, 2, F, h, w), is already the
folded input of the next block. So nothing is rearranged between two blocks, and every copy is of one long
run: a shift by a place is an offset in memory. At the right and lower edge such a shift reads pixels
of the next row or channel; the places that see them, the last row and column, mean nothing. They are
cut off after the last block, and their gradient is 0.

All blocks, up to a batch normalization, are computed for one picture before the next one, so that
windows and products stay in the processor's cache, where a product is up to 1.8 times as fast
(bench/products.py); for the gradient they are computed once more, because to keep them would take as long.

The idea of trading a strided window for channels is that of space-to-depth for the first layer of
ResNet in MLPerf (Ying et al., Image Classification at Supercomputer Scale, 2018, arXiv:1811.06992).
"""

import importlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from stages.lib.network import keras
from stages.lib.network import tensorflow as tf

# No public name leads to XLA's barrier: what it holds is computed once and kept in memory, and not computed
# anew, element by element, for each of its readers. runtime.py lets it hold until XLA has done its fusing.
optimization_barrier = importlib.import_module("tensorflow.compiler.tf2xla.python.xla").optimization_barrier

# Activations that never fall, one number at a time: act(max(x)) = max(act(x)).
RISING = {
    *("celu", "elu", "exponential", "hard_sigmoid", "hard_tanh", "leaky_relu", "linear", "log_sigmoid"),
    *("relu", "relu6", "selu", "sigmoid", "softplus", "softsign", "tanh"),
}
SHIFTS = [(y, x) for y in (0, 1) for x in (0, 1)]  # a 2x2 window in the order in which pooling looks at it


@dataclass(frozen=True)
class Block:
    """A block's folded kernel, (16C, 4F), its bias, (F,), its activation, and the side of what it gives."""

    matrix: tf.Tensor
    bias: tf.Tensor
    activation: Callable[[tf.Tensor], tf.Tensor]
    side: int


def forward(
    model: keras.Model, pictures: tf.Tensor, weights: tf.Tensor | None = None, seed: tf.Tensor | None = None
) -> tf.Tensor:
    """What the plain `model` of network.build gives for the same pictures.

    pictures: uint8 (n, 4 Q * Q C, h, w), as array.fold lays them out for array.layout. Returns float32
    (n, outputs). Call it inside tf.function(jit_compile=True): it is made for XLA.
    In training, weights: float32 (n,), 0 for a picture that only fills up the batch, which batch
    normalization leaves out; seed: int32 (2,), from which dropout draws.
    """
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    scaled = layers.pop(0) if isinstance(layers[0], keras.layers.Rescaling) else tf.identity
    x = pictures
    while isinstance(layers[0], keras.layers.Conv2D):
        blocks = []
        while isinstance(layers[0], keras.layers.Conv2D):
            convolution, activation, pooling = layers[:3]
            layers = layers[3:]
            matrix, bias = fold_kernel(convolution.kernel), tf.convert_to_tensor(convolution.bias)
            blocks.append(Block(matrix, bias, activation.activation, pooling.output.shape[1]))
        x = one_by_one(x, blocks, scaled)
        scaled = tf.identity
        if isinstance(layers[0], keras.layers.BatchNormalization):
            x = normalize(layers.pop(0), x, weights)
    x = tf.transpose(x, (0, 2, 3, 1))
    for number, layer in enumerate(layers):
        if isinstance(layer, keras.layers.Dropout):
            x = x if seed is None else drop(x, layer.rate, seed + number)
        else:
            x = layer(x)
    return x


def one_by_one(pictures: tf.Tensor, blocks: list[Block], scaled: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
    """What `blocks` make of each picture, first `scaled`: (n, ...), folded or not, to (n, F, side, side)."""
    n, *shape = pictures.shape
    last = blocks[-1]
    numbers = [number for block in blocks for number in (block.matrix, block.bias)]

    def of_one(picture: tf.Tensor, numbers: Sequence[tf.Tensor]) -> tf.Tensor:
        x = _kept(scaled(tf.cast(picture, tf.float32)))
        for block, matrix, bias in zip(blocks, numbers[::2], numbers[1::2], strict=True):
            x = _block(x, replace(block, matrix=matrix, bias=bias))
        return x

    @tf.custom_gradient
    def of_all(pictures: tf.Tensor, *numbers: tf.Tensor) -> tf.Tensor:
        def ahead(i: tf.Tensor, results: tf.TensorArray) -> tuple:
            return i + 1, results.write(i, of_one(pictures[i], numbers))

        def gradient(upstream: tf.Tensor) -> list[tf.Tensor | None]:
            def back(i: tf.Tensor, sums: list[tf.Tensor], gradients: tf.TensorArray) -> tuple:
                picture = pictures[i]
                with tf.GradientTape() as tape:
                    tape.watch([*numbers, picture] if picture.dtype.is_floating else numbers)
                    result = of_one(picture, numbers)
                of_picture, *of_numbers = tape.gradient(result, [picture, *numbers], upstream[i])
                if of_picture is not None:
                    gradients = gradients.write(i, of_picture)
                return i + 1, [a + b for a, b in zip(sums, of_numbers, strict=True)], gradients

            start = 0, [tf.zeros(each.shape) for each in numbers], tf.TensorArray(tf.float32, n, element_shape=shape)
            _, sums, gradients = tf.while_loop(lambda i, *_: i < n, back, start)
            return [gradients.stack() if pictures.dtype.is_floating else None, *sums]

        results = tf.TensorArray(tf.float32, n, element_shape=(last.bias.shape[0], last.side, last.side))
        return tf.while_loop(lambda i, _: i < n, ahead, (0, results))[1].stack(), gradient

    return of_all(pictures, *numbers)


def _block(x: tf.Tensor, block: Block) -> tf.Tensor:
    """One block of one picture: (Q, Q, 4C, h, w), its first three axes in one, or (C, H, W), which is folded first.

    Returns with Q = 2 (4F, h, w), folded for the next block, else (F, side, side).
    """
    channels, filters = block.matrix.shape[0] // 4, block.bias.shape[0]
    if x.shape[0] < channels:
        x = fold_picture(x)
    height, width = x.shape[1:]
    q = math.isqrt(x.shape[0] // channels)

    def pooled(windows: tf.Tensor) -> tf.Tensor:
        groups = tf.reshape(_product(block.matrix, windows), (4, filters, height * width))
        if block.activation.__name__ in RISING:
            return block.activation(_first_largest(groups) + block.bias[:, None])
        # Some activations (softmax) look at all channels of a place: they have to come last.
        y = block.activation(tf.transpose(groups, (0, 2, 1)) + block.bias)
        return _first_largest(tf.transpose(y, (0, 2, 1)))

    sets = [pooled(windows) for windows in _windows(tf.reshape(x, (q, q, channels, height, width)))]
    x = tf.reshape(tf.concat(sets, 0), (q * q * filters, height, width))
    return _kept(x if q == 2 else x[:, : block.side, : block.side])


def normalize(layer: keras.layers.BatchNormalization, x: tf.Tensor, weights: tf.Tensor | None) -> tf.Tensor:
    """Batch normalization of (n, F, h, w) over all but F; in training, with `weights`, the averages move."""

    def by_filter(values: tf.Tensor) -> tf.Tensor:
        return tf.reshape(values, (-1, 1, 1))

    if weights is None:
        mean, variance = layer.moving_mean, layer.moving_variance
    else:
        share = weights[:, None, None, None] / (tf.reduce_sum(weights) * x.shape[2] * x.shape[3])
        mean = tf.reduce_sum(x * share, (0, 2, 3))
        variance = tf.reduce_sum((x - by_filter(mean)) ** 2 * share, (0, 2, 3))
        for average, now in ((layer.moving_mean, mean), (layer.moving_variance, variance)):
            average.assign(average * layer.momentum + now * (1 - layer.momentum))
    scale = layer.gamma * tf.math.rsqrt(variance + layer.epsilon)
    return (x - by_filter(mean)) * by_filter(scale) + by_filter(layer.beta)


def drop(x: tf.Tensor, rate: float, seed: tf.Tensor) -> tf.Tensor:
    """Dropout: each number is 0 with probability `rate`, else divided by 1 - rate. seed: int32 (2,)."""
    kept = tf.random.stateless_uniform(x.shape, seed) >= rate
    return tf.where(kept, x / (1 - rate), 0.0)


def fold_kernel(kernel: tf.Tensor) -> tf.Tensor:
    """(3, 3, C, F) to (16C, 4F): rows in the order of `_windows`, columns by shift, then filter."""
    channels, filters = kernel.shape[2:]
    shifted = [tf.pad(kernel, ((y, 1 - y), (x, 1 - x), (0, 0), (0, 0))) for y, x in SHIFTS]
    kernels = tf.reshape(tf.stack(shifted, axis=3), (2, 2, 2, 2, channels, 4, filters))
    # A pixel of the 4x4 window is pixel (y, x) of the folded pixel (Y, X): rows Y, y, X, x become Y, X, y, x.
    return tf.reshape(tf.transpose(kernels, (0, 2, 1, 3, 4, 5, 6)), (16 * channels, 4 * filters))


def fold_picture(picture: tf.Tensor) -> tf.Tensor:
    """(C, H, W) to (4C, H/2, W/2): a last odd row or column is dropped, as pooling drops it."""
    channels, height, width = picture.shape
    height, width = height // 2, width // 2
    x = tf.reshape(picture[:, : 2 * height, : 2 * width], (channels, height, 2, width, 2))
    return _kept(tf.reshape(tf.transpose(x, (2, 4, 0, 1, 3)), (4 * channels, height, width)))


@tf.custom_gradient
def _product(matrix: tf.Tensor, windows: tf.Tensor) -> tf.Tensor:
    """(16C, 4F) transposed, times (16C, m): XLA's product is twice as fast if its first factor lies row by row."""

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.matmul(windows, upstream, transpose_b=True), tf.matmul(matrix, upstream)

    return tf.matmul(_kept(tf.transpose(matrix)), windows), gradient


@tf.custom_gradient
def _windows(folded: tf.Tensor) -> list[tf.Tensor]:
    """Every 4x4 window as a column: (Q, Q, 4C, h, w) to Q * Q sets of (16C, h * w)."""
    q, _, channels, height, width = folded.shape
    sets = [(y, x) for y in range(q) for x in range(q)]
    length = channels * height * width

    def source(window: tuple[int, int], shift: tuple[int, int]) -> tuple[int, int]:
        """Which set of pixels the `shift` of a set of windows looks at, and how many places further on."""
        (y_over, y), (x_over, x) = (divmod(a + b, q) for a, b in zip(window, shift, strict=True))
        return y * q + x, y_over * width + x_over

    sources = [[source(window, shift) for shift in SHIFTS] for window in sets]
    flat = tf.reshape(folded, [-1])
    beyond = tf.zeros(width + 1)  # the last places look further than the last pixel

    def windows(of_set: list[tuple[int, int]]) -> tf.Tensor:
        parts = []
        for number, places in of_set:
            start = number * length + places
            parts += [flat[start : start + length], beyond[: max(0, start + length - q * q * length)]]
        return tf.reshape(tf.concat(parts, 0), (4 * channels, height * width))

    def gradient(*upstream: tf.Tensor) -> tf.Tensor:
        # The other way; what is shifted in from the neighbouring row has gradient 0, as the last column has.
        sums = [0.0] * (q * q)
        for of_set, grad in zip(sources, upstream, strict=True):
            flat = tf.reshape(grad, [-1])
            for part, (number, places) in enumerate(of_set):
                sums[number] += flat[part * length - places : (part + 1) * length - places]
        return tf.reshape(tf.concat(sums, 0), folded.shape)

    return [optimization_barrier(windows(of_set))[0] for of_set in sources], gradient


@tf.custom_gradient
def _first_largest(groups: tf.Tensor) -> tf.Tensor:
    """The maximum over the four groups of (4, F, m). Of equals the first has the gradient, as in pooling."""
    a, b, c, d = tf.unstack(groups)
    largest = tf.maximum(tf.maximum(a, b), tf.maximum(c, d))

    def gradient(upstream: tf.Tensor) -> tf.Tensor:
        nothing = tf.zeros_like(upstream)
        parts = []
        for group in (a, b, c):
            mine = group >= largest
            parts.append(tf.where(mine, upstream, nothing))
            upstream = tf.where(mine, nothing, upstream)
        return optimization_barrier(tf.stack([*parts, upstream]))[0]

    return largest, gradient


@tf.custom_gradient
def _kept(x: tf.Tensor) -> tf.Tensor:
    """The same numbers, and the same gradient, each kept in memory as one array."""
    return optimization_barrier(x)[0], lambda upstream: optimization_barrier(upstream)[0]
