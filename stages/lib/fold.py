"""The folded convolution: a block of the article's network, computed several times faster, exactly.

Conv2D(3x3, valid) - activation - MaxPooling2D(2x2) has few channels (3 in, 6 out), which fill no vector
of the processor. The same numbers come from a wider product: a pooling window sees 4x4 pixels, and on
them four shifted 3x3 kernels. Those, each padded to 4x4, are the columns of one matrix with 16C rows
and 4F columns; the 4x4 windows, which lie 2 pixels apart, are the columns of another. Their product
holds all four convolutions of every window, and pooling is the maximum of four groups of its rows.
For an activation that never falls the maximum may come first, which leaves a quarter of the
activations. The matrix is made of the plain layer's kernel inside the step, so gradients arrive there,
and the weights stay those of the plain network.

Pictures are laid out by space-to-depth, (4C, n, H/2, W/2): there the pixels of a 4x4 window are four
slices, one pixel apart. A last odd row or column is dropped, as pooling drops what it gives.

The idea of trading a strided window for channels is that of space-to-depth for the first layer of
ResNet in MLPerf (Ying et al., Image Classification at Supercomputer Scale, 2018, arXiv:1811.06992).
"""

from collections.abc import Sequence

from stages.lib.network import keras
from stages.lib.network import tensorflow as tf

# Activations that never fall, one number at a time: act(max(x)) = max(act(x)).
RISING = {
    *("celu", "elu", "exponential", "hard_sigmoid", "hard_tanh", "leaky_relu", "linear", "log_sigmoid"),
    *("relu", "relu6", "selu", "sigmoid", "softplus", "softsign", "tanh"),
}
SHIFTS = [(y, x) for y in (0, 1) for x in (0, 1)]  # a 2x2 window in the order in which pooling looks at it


def forward(
    model: keras.Model, pictures: tf.Tensor, weights: tf.Tensor | None = None, seed: tf.Tensor | None = None
) -> tf.Tensor:
    """What the plain `model` of network.build gives for the same pictures.

    pictures: (n, 4C, H/2, W/2), any number type, as array.space_to_depth lays them out. Returns
    float32 (n, outputs). Call it inside tf.function(jit_compile=True): without XLA it is slow.
    In training, weights: float32 (n,), 0 for a picture that only fills up the batch, which batch
    normalization leaves out; seed: int32 (2,), from which dropout draws.
    """
    folded = tf.cast(tf.transpose(pictures, (1, 0, 2, 3)), tf.float32)
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    if isinstance(layers[0], keras.layers.Rescaling):
        folded = layers.pop(0)(folded)
    while isinstance(layers[0], keras.layers.Conv2D):
        convolution, activation, _ = layers[:3]
        layers = layers[3:]
        x = block(folded, convolution.kernel, convolution.bias, activation.activation)
        if isinstance(layers[0], keras.layers.BatchNormalization):
            x = normalize(layers.pop(0), x, weights)
        if isinstance(layers[0], keras.layers.Conv2D):
            folded = fold_pictures(x)
    x = tf.transpose(x, (1, 2, 3, 0))
    for number, layer in enumerate(layers):
        if isinstance(layer, keras.layers.Dropout):
            x = x if seed is None else drop(x, layer.rate, seed + number)
        else:
            x = layer(x)
    return x


def block(folded: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor, activation: keras.layers.Layer) -> tf.Tensor:
    """One block: float32 (4C, n, H/2, W/2) to (F, n, H/2 - 1, W/2 - 1). kernel: (3, 3, C, F)."""
    _, n, height, width = folded.shape
    height, width = height - 1, width - 1
    groups = tf.matmul(fold_kernel(kernel), _windows(folded), transpose_a=True)
    groups = tf.reshape(groups, (4, kernel.shape[3], n * height * width))
    if activation.__name__ in RISING:
        x = activation(_first_largest(groups) + bias[:, None])
    else:
        # Some activations (softmax) look at all channels of a place: they have to come last.
        x = activation(tf.transpose(groups, (0, 2, 1)) + bias)
        x = _first_largest(tf.transpose(x, (0, 2, 1)))
    return tf.reshape(x, (x.shape[0], n, height, width))


def normalize(layer: keras.layers.BatchNormalization, x: tf.Tensor, weights: tf.Tensor | None) -> tf.Tensor:
    """Batch normalization of (F, n, h, w) over all but F; in training, with `weights`, the averages move."""

    def by_filter(values: tf.Tensor) -> tf.Tensor:
        return tf.reshape(values, (-1, 1, 1, 1))

    if weights is None:
        mean, variance = layer.moving_mean, layer.moving_variance
    else:
        share = weights[:, None, None] / (tf.reduce_sum(weights) * x.shape[2] * x.shape[3])
        mean = tf.reduce_sum(x * share, (1, 2, 3))
        variance = tf.reduce_sum((x - by_filter(mean)) ** 2 * share, (1, 2, 3))
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


def fold_pictures(pictures: tf.Tensor) -> tf.Tensor:
    """Space-to-depth: (C, n, H, W) to (4C, n, H/2, W/2)."""
    channels, n, height, width = pictures.shape
    height, width = height // 2, width // 2
    x = pictures[:, :, : 2 * height, : 2 * width]
    x = tf.transpose(tf.reshape(x, (channels, n, height, 2, width, 2)), (3, 5, 0, 1, 2, 4))
    return tf.reshape(x, (4 * channels, n, height, width))


def _windows(folded: tf.Tensor) -> tf.Tensor:
    """Every 4x4 window as a column: (4C, n, H, W) to (16C, n * (H - 1) * (W - 1))."""
    channels, n, height, width = folded.shape
    slices = [folded[:, :, y : height - 1 + y, x : width - 1 + x] for y, x in SHIFTS]
    return tf.reshape(tf.stack(slices), (4 * channels, n * (height - 1) * (width - 1)))


@tf.custom_gradient
def _first_largest(groups: Sequence[tf.Tensor]) -> tf.Tensor:
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
        return tf.stack([*parts, upstream])

    return largest, gradient
