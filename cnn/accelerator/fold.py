"""The blocks of the article's network on folded pictures, forward and back, exactly as the plain layers do it.

Conv2D(3x3, valid) - activation - MaxPooling2D(2x2) equals a 2x2 convolution of a picture whose pixels are
folded into four times the channels: a pooling window's four convolutions are then channels of one place,
and pooling is their maximum. cnn.accelerator.convolution computes them in that form, a picture at a time, and
for an activation that never falls the maximum comes first, which leaves a quarter of the activations.
Kernels and biases are those of the plain layers, and gradients arrive at them.

What a block gives is already the folded input of the next one, so nothing is rearranged between two blocks.
What the machine code does not know, every activation but relu, and batch normalization, is done between them by
TensorFlow, for a whole batch.

The idea of trading a strided window for channels is that of space-to-depth for the first layer of
ResNet in MLPerf (Ying et al., Image Classification at Supercomputer Scale, 2018, arXiv:1811.06992).
"""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from cnn.accelerator import convolution
from cnn.accelerator.machine_code import Call, address, aligned
from cnn.model.backend import keras
from cnn.model.backend import tensorflow as tf


@dataclass(frozen=True)
class Block:
    """The plain layers of a block, but for the pooling."""

    convolution: keras.layers.Conv2D
    activation: keras.layers.Activation
    normalization: keras.layers.BatchNormalization | None

    @property
    def of_normalization(self) -> list[tf.Variable]:
        """The trainable variables of batch normalization, if there is any."""
        return self.normalization.trainable_variables if self.normalization else []

    @property
    def trainable_variables(self) -> list[tf.Variable]:
        """Kernel, bias, and those of batch normalization."""
        return self.convolution.trainable_variables + self.of_normalization


def split(model: keras.Model) -> tuple[list[Block], list[keras.layers.Layer]]:
    """A network of cnn.model.build: its blocks, and the layers that come after them."""
    scaled = (keras.layers.InputLayer, keras.layers.Rescaling)
    first = next(number for number, layer in enumerate(model.layers) if not isinstance(layer, scaled))
    layers, blocks = model.layers[first:], []
    while isinstance(layers[0], keras.layers.Conv2D):
        (convolution, activation, _), layers = layers[:3], layers[3:]
        normalization = layers.pop(0) if isinstance(layers[0], keras.layers.BatchNormalization) else None
        blocks.append(Block(convolution, activation, normalization))
    return blocks, layers


def apply_head(layers: list[keras.layers.Layer], x: tf.Tensor, seed: tf.Tensor | None = None) -> tf.Tensor:
    """The outputs of the layers after the blocks for x (n, side, side, F). seed: int32 (2,) for dropout in training."""
    for number, layer in enumerate(layers):
        if isinstance(layer, keras.layers.Dropout):
            x = x if seed is None else drop(x, layer.rate, seed + number)
        else:
            x = layer(x)
    return x


def drop(x: tf.Tensor, rate: float, seed: tf.Tensor) -> tf.Tensor:
    """Dropout: each number is 0 with probability `rate`, else divided by 1 - rate. seed: int32 (2,)."""
    kept = tf.random.stateless_uniform(x.shape, seed) >= rate
    return tf.where(kept, x / (1 - rate), 0.0)


class Folded:
    """A block for batches of up to `count` pictures: its machine code, what that reads and writes, and what follows it.

    input: of the block; output: of the machine code; post_output: of the block, the same as `output` where no operation
    comes after it. grad_input, grad_output, grad_post_output: their gradients; gradients: those of kernel and bias, a
    row a picture.
    variables: kernel, bias, and the kernel as the gradient of `input` needs it, flipped.
    """

    def __init__(
        self,
        block: Block,
        shape: convolution.Shape,
        variables: list[np.ndarray],
        gradients: np.ndarray,
        before: "Folded | None",
    ):
        self.block, self.shape, self.variables, self.gradients = block, shape, variables, gradients
        self.code = convolution.of_shape(shape)
        self.identity = shape.rectified or block.activation.activation.__name__ == "linear"
        self.has_post_ops = not self.identity or block.normalization is not None
        count = len(gradients)
        self.output = aligned((count, shape.output_size), shape.halo)
        self.argmax = aligned((count, shape.output_size), kind=np.uint8)
        self.post_output = aligned((count, shape.windows), shape.halo) if self.has_post_ops else self.output
        self.grad_post_output = aligned((count, shape.windows), shape.halo)
        self.grad_output = self.grad_post_output if shape.pooled else aligned((count, shape.output_size), shape.halo)
        self.input = before.post_output if before else aligned((count, shape.input_size), kind=np.uint8)
        self.grad_input = before.grad_post_output if before else None
        self.seen = _seen(shape)
        if self.has_post_ops:
            output, grad_post_output, weights = (count, shape.output_size), (count, shape.windows), (count,)
            self._in_training = compiled(self._post_ops, output, weights)
            self._in_use = compiled(functools.partial(self._post_ops, weights=None), output)
            self._back = compiled(self._post_ops_back, output, weights, grad_post_output)

    def forward(self, n: int, scratch: np.ndarray) -> Call:
        """What computes `output` from `input`, for the first n pictures."""
        return self.code.forward(n, *map(address, (self.input, *self.variables[:2], self.output, self.argmax, scratch)))

    def backward(self, n: int, scratch: np.ndarray) -> Call:
        """What computes `gradients` and `grad_input` from `grad_output`, for the first n pictures."""
        arrays = (self.input, self.variables[2], self.output, self.argmax, self.grad_output, self.gradients)
        return self.code.backward(
            *(n, self.gradients.strides[0] // self.gradients.itemsize, *map(address, arrays)),
            *(0 if self.grad_input is None else address(self.grad_input), address(scratch)),
        )

    def post_ops(self, weights: np.ndarray | None) -> None:
        """`output` to `post_output`; in training with `weights`, as `normalize` takes them."""
        output = tf.constant(self.output)
        result = self._in_use(output) if weights is None else self._in_training(output, tf.constant(weights))
        self.post_output[:] = _numbers(result).reshape(self.post_output.shape)

    def post_ops_back(self, n: int, weights: np.ndarray) -> list[tf.Tensor]:
        """`grad_post_output` to `grad_output`; returns the gradients of the normalization."""
        self.grad_post_output[n:] = 0  # pictures that only fill up the batch
        gradient, *others = self._back(*map(tf.constant, (self.output, weights, self.grad_post_output)))
        self.grad_output[:] = _numbers(gradient).reshape(self.grad_output.shape)
        return others

    def _post_ops(self, output: tf.Tensor, weights: tf.Tensor | None, moving: bool = True) -> tf.Tensor:
        """What is left of the block, (count, q, q, F, places)."""
        q, places, filters = self.shape.q, self.shape.padded_area, self.shape.filters
        n = output.shape[0]
        if self.shape.pooled:
            x = output if self.identity else self.block.activation(output)
        else:
            # Some activations (softmax) look at all channels of a place: they have to be last.
            x = tf.transpose(tf.reshape(output, (n, 2 * q, 2 * q, filters, places)), (0, 1, 2, 4, 3))
            x = tf.reshape(self.block.activation(x), (n, q, 2, q, 2, places, filters))
            x = first_largest(tf.reshape(tf.transpose(x, (2, 4, 0, 1, 3, 6, 5)), (4, n, q, q, filters, places)))
        x = tf.reshape(x, (n, q, q, filters, places))
        if self.block.normalization:
            x = normalize(self.block.normalization, x, self.seen, weights, moving)
        return tf.where(self.seen, x, 0.0)

    def _post_ops_back(self, output: tf.Tensor, weights: tf.Tensor, upstream: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(output)
            x = self._post_ops(output, weights, moving=False)
        return tape.gradient(x, [output, *self.block.of_normalization], tf.reshape(upstream, x.shape))


def _seen(shape: convolution.Shape) -> np.ndarray:
    """Which of the places of (q, q, 1, places) are windows, of which there are side x side."""
    places = np.arange(shape.padded_area)
    sets = np.arange(shape.q)[:, None]
    rows, columns = (shape.q * each + sets < shape.side for each in (places // shape.width, places % shape.width))
    return (rows[:, None] & columns[None] & (places < shape.width**2))[:, :, None]


def normalize(
    layer: keras.layers.BatchNormalization,
    x: tf.Tensor,
    seen: np.ndarray,
    weights: tf.Tensor | None,
    moving: bool = True,
) -> tf.Tensor:
    """Batch normalization of (n, q, q, F, places) over all but F, where `seen`.

    weights: float32 (n,), in training, 0 for a picture that only fills up the batch; the averages move, if `moving`.
    """

    def by_filter(values: tf.Tensor) -> tf.Tensor:
        return tf.reshape(values, (-1, 1))

    if weights is None:
        mean, variance = layer.moving_mean, layer.moving_variance
    else:
        share = weights[:, None, None, None, None] * seen.astype(np.float32) / (tf.reduce_sum(weights) * seen.sum())
        mean = tf.reduce_sum(x * share, (0, 1, 2, 4))
        variance = tf.reduce_sum((x - by_filter(mean)) ** 2 * share, (0, 1, 2, 4))
        for average, now in ((layer.moving_mean, mean), (layer.moving_variance, variance)) if moving else ():
            average.assign(average * layer.momentum + now * (1 - layer.momentum))
    scale = layer.gamma * tf.math.rsqrt(variance + layer.epsilon)
    return (x - by_filter(mean)) * by_filter(scale) + by_filter(layer.beta)


@tf.custom_gradient
def first_largest(groups: tf.Tensor) -> tf.Tensor:
    """The maximum over the four groups of (4, ...). Of equals the first has the gradient, as in pooling."""
    largest = tf.reduce_max(groups, 0)

    def gradient(upstream: tf.Tensor) -> tf.Tensor:
        parts = []
        for group in tf.unstack(groups):
            mine = group >= largest
            parts.append(tf.where(mine, upstream, 0.0))
            upstream = tf.where(mine, 0.0, upstream)
        return tf.stack(parts)

    return largest, gradient


def compiled(function: Callable, *signature: Sequence[int] | tf.TensorSpec | list) -> Callable:
    """`function` as an XLA computation. signature: each argument's shape, where it is of float32."""
    specs = [each if isinstance(each, (list, tf.TensorSpec)) else tf.TensorSpec(each) for each in signature]
    # Nothing here is Python for AutoGraph to rewrite. A concrete function is called in a third of the time.
    return tf.function(function, jit_compile=True, autograph=False).get_concrete_function(*specs)


@dataclass(frozen=True)
class Calls:
    """The calls of machine code for a number of pictures, the blocks' in the order in which they are made."""

    forward: list[Call]
    unfold: Call
    refold: Call
    backward: list[Call]


class Blocks:
    """The blocks of `model` for batches of up to `count` pictures.

    pictures: uint8 (count, ...), to be filled with what layout.fold gives.
    """

    def __init__(self, model: keras.Model, count: int):
        blocks, self.layers = split(model)
        name = blocks[0].activation.activation.__name__
        shapes = convolution.shapes(model.input_shape[1], len(blocks), blocks[0].convolution.filters, name)
        self._gradients = np.zeros((count, sum(shape.variables for shape in shapes)), np.float32)
        # Of each block kernel, bias and flipped kernel; and where `packed` has them.
        self._variables = np.zeros(sum(shape.kernel + shape.variables for shape in shapes), np.float32)
        self._positions = np.zeros(len(self._variables), np.int64)
        self._folded: list[Folded] = []
        column = start = 0
        for block, shape in zip(blocks, shapes, strict=True):
            end = start + shape.kernel + shape.variables
            of_block = np.arange(column, column + shape.variables)
            kernel = of_block[: shape.kernel].reshape(3, 3, shape.channels, shape.filters)
            self._positions[start:end] = [*of_block, *kernel[::-1, ::-1].transpose(0, 1, 3, 2).flat]
            variables = np.split(self._variables[start:end], [shape.kernel, shape.variables])
            columns = self._gradients[:, column : column + shape.variables]
            before = self._folded[-1] if self._folded else None
            self._folded.append(Folded(block, shape, variables, columns, before))
            column, start = column + shape.variables, end
        self.pictures = self._folded[0].input
        self._scratch = aligned((max(shape.scratch for shape in shapes),))
        last = shapes[-1]
        self._result, self._upstream = (aligned((count, last.side, last.side, last.filters)) for _ in range(2))
        self._known: dict[int, Calls] = {}

    @property
    def signature(self) -> tuple:
        """Of what `backward` returns."""
        others = [variable for each in self._folded for variable in each.block.of_normalization]
        return self._gradients.shape, [tf.TensorSpec(variable.shape) for variable in others]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of what `forward` returns."""
        return self._result.shape

    def flatten_weights(self) -> tf.Tensor:
        """Kernels and biases, one after the other, for `use`."""
        variables = [variable for each in self._folded for variable in each.block.convolution.trainable_variables]
        return tf.concat([tf.reshape(variable, [-1]) for variable in variables], 0)

    def load_weights(self, flat: tf.Tensor) -> None:
        np.take(_numbers(flat), self._positions, out=self._variables)

    def forward(self, n: int, weights: np.ndarray | None = None) -> np.ndarray:
        """Of the first n of `pictures`, float32 (count, side, side, F).

        weights: as `normalize` takes them, in training.
        """
        calls = self._calls(n)
        for block, call in zip(self._folded, calls.forward, strict=True):
            call()
            if block.has_post_ops:
                block.post_ops(weights)
        calls.unfold()
        return self._result

    def backward(self, n: int, weights: np.ndarray, upstream: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """After `forward`, from the gradient of what it gave, what `gradients` takes."""
        calls, others = self._calls(n), []
        self._upstream[:] = _numbers(upstream)
        calls.refold()
        for block, call in zip(reversed(self._folded), calls.backward, strict=True):
            if block.has_post_ops:
                others = block.post_ops_back(n, weights) + others
            call()
        self._gradients[n:] = 0
        return tf.constant(self._gradients), others

    def _calls(self, n: int) -> Calls:
        if n not in self._known:
            last = self._folded[-1]
            self._known[n] = Calls(
                [block.forward(n, self._scratch) for block in self._folded],
                last.code.order("unfold", n, address(last.post_output), address(self._result)),
                last.code.order("refold", n, address(last.grad_post_output), address(self._upstream)),
                [block.backward(n, self._scratch) for block in reversed(self._folded)],
            )
        return self._known[n]

    @property
    def trainable_variables(self) -> list[tf.Variable]:
        return [variable for each in self._folded for variable in each.block.trainable_variables]

    def gradients(self, grad_pictures: tf.Tensor, others: list[tf.Tensor]) -> list[tf.Tensor]:
        """Of `trainable_variables`, from what `backward` returned."""
        sums, others, start, result = tf.reduce_sum(grad_pictures, 0), iter(others), 0, []
        for each in self._folded:
            for variable in each.block.convolution.trainable_variables:
                size = math.prod(variable.shape)
                result.append(tf.reshape(sums[start : start + size], variable.shape))
                start += size
            result += [next(others) for _ in each.block.of_normalization]
        return result


def _numbers(tensor: tf.Tensor) -> np.ndarray:
    """The same memory, not to be written to."""
    return np.asarray(memoryview(tensor))
