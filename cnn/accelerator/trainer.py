"""Training the plain network with its blocks in folded form.

Keras's own `fit` computes the same losses (tests/accelerator/test_trainer.py compares them). Here the blocks are
machine code of their own (cnn.accelerator.fold). What comes after them, the loss and its optimizer's step included, is
one XLA computation. The last, smaller batch is filled up with pictures of weight 0, so that it needs no second one.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from cnn.accelerator import fold, layout
from cnn.common.params import Params
from cnn.common.task import Regression, Task
from cnn.model import labels, optimizers, saving
from cnn.model.backend import keras
from cnn.model.backend import tensorflow as tf


class Pictures(Protocol):
    """What gives pictures for rows: uint8 (rows, height, width, 3), or folded ones (layout.fold)."""

    def __getitem__(self, rows: np.ndarray) -> np.ndarray: ...


class Trainer:
    """A network, its optimizer and its compiled steps.

    known: the labels (n,), class indices, or the targets (n,). A training is one thread.
    """

    def __init__(self, params: Params, task: Task, architecture: Path):
        self.batch_size = params.batch_size
        self.model = saving.read_architecture(architecture)
        self._layout = layout.of_model(self.model)
        self._blocks = fold.Blocks(self.model, self.batch_size)
        self._head = [variable for layer in self._blocks.layers for variable in layer.trainable_variables]
        # Two of a kind, for the blocks and for the head, because these are computed apart.
        self._optimizers = [optimizers.optimizer(params.optimizer, params.learning_rate) for _ in range(2)]
        for optimizer, variables in zip(self._optimizers, (self._blocks.trainable_variables, self._head), strict=True):
            optimizer.build(variables)
        self._unit = task.deviation if isinstance(task, Regression) else None
        self._losses = keras.losses.get(task.loss(params.loss))
        several = self.model.output_shape[-1] > 1
        self._correct = keras.metrics.categorical_accuracy if several else keras.metrics.binary_accuracy
        self._variables = [*self.model.weights, *(each for one in self._optimizers for each in one.variables)]
        self._initial = self.state()
        self._totals = tf.Variable(tf.zeros(2))  # losses and correct answers of an epoch
        x, targets, weights = self._blocks.shape, (self.batch_size, self.model.output_shape[-1]), (self.batch_size,)
        self._train_head = fold.compiled(self._train_head_, x, targets, weights, tf.TensorSpec(2, tf.int32))
        self._update_blocks = fold.compiled(self._update_blocks_, *self._blocks.signature)
        self._evaluate_head = fold.compiled(self._evaluate_head_, x, targets, weights)

    def start(self, weights: Path) -> None:
        """Load the weights of a .weights.h5 file."""
        self.resume(self._initial)  # another repeat may have been trained before
        self.model.load_weights(weights)
        self._blocks.load_weights(self._blocks.flatten_weights())

    def state(self) -> list[np.ndarray]:
        """Everything that a later epoch depends on: the network's weights, then the optimizer's variables."""
        return [variable.numpy() for variable in self._variables]

    def resume(self, state: list[np.ndarray]) -> None:
        """Continue from the result of `state`."""
        for variable, value in zip(self._variables, state, strict=True):
            variable.assign(value)
        self._blocks.load_weights(self._blocks.flatten_weights())

    def epoch(self, pictures: Pictures, known: np.ndarray, order: np.ndarray, seed: int = 0) -> tuple[float, float]:
        """Train on all pictures once, in `order`; returns the mean loss and score over the steps.

        seed: of this epoch's dropout.
        """

        def step(n: int, targets: np.ndarray, weights: np.ndarray, start: int) -> None:
            x = self._blocks.forward(n, weights)
            inputs = (x, targets, weights, np.array([seed, start], np.int32))
            upstream = self._train_head(*map(tf.constant, inputs))
            self._blocks.load_weights(self._update_blocks(*self._blocks.backward(n, weights, upstream)))

        return self._run(step, pictures, known, order)

    def evaluate(self, pictures: Pictures, known: np.ndarray) -> tuple[float, float]:
        """Mean loss and score: accuracy, or for regression R2, 1 - mean squared error / variance."""

        def step(n: int, targets: np.ndarray, weights: np.ndarray, _: int) -> None:
            self._evaluate_head(*map(tf.constant, (self._blocks.forward(n), targets, weights)))

        return self._run(step, pictures, known, np.arange(len(known)))

    def _run(
        self, step: Callable[..., None], pictures: Pictures, known: np.ndarray, order: np.ndarray
    ) -> tuple[float, float]:
        size = self.batch_size
        targets = labels.targets(known, self.model.output_shape[-1])
        self._totals.assign(tf.zeros(2))
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            n = len(rows)
            images = pictures[rows]
            if images.ndim == 4:
                images = layout.fold(images, *self._layout)
            self._blocks.pictures[:n] = images.reshape(n, -1)
            weights = (np.arange(size) < n).astype(np.float32)
            step(n, targets[np.resize(rows, size)], weights, start)
        loss, accuracy = (float(mean) for mean in self._totals.numpy() / len(order))
        if self._unit is not None:
            return loss, 1 - loss * self._unit**2 / float(np.var(known, dtype=np.float64))
        return loss, accuracy

    def _train_head_(self, x: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Everything after the blocks: forward, back, and a step of the optimizer. Returns the gradient of x."""
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = fold.apply_head(self._blocks.layers, x, seed)
            loss = tf.reduce_sum(self._add_up(outputs, targets, weights)) / tf.reduce_sum(weights)
        upstream, *gradients = tape.gradient(loss, [x, *self._head])
        # A zero that depends on `upstream`, for which weights are read last: after that XLA changes them in place.
        zero = 0.0 * tf.reduce_sum(upstream)
        self._optimizers[1].apply([gradient + zero for gradient in gradients], self._head)
        return upstream

    def _update_blocks_(self, grad_pictures: tf.Tensor, others: list[tf.Tensor]) -> tf.Tensor:
        """A step of the optimizer; returns the new kernels and biases, flat."""
        self._optimizers[0].apply(self._blocks.gradients(grad_pictures, others), self._blocks.trainable_variables)
        return self._blocks.flatten_weights()

    def _evaluate_head_(self, x: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor) -> None:
        self._add_up(fold.apply_head(self._blocks.layers, x), targets, weights)

    def _add_up(self, outputs: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        """The weighted loss of each picture; added to the totals, as are the correct answers."""
        if self._unit is not None:
            targets, outputs = targets / self._unit, outputs / self._unit
        losses = self._losses(targets, outputs) * weights
        correct = tf.reshape(self._correct(targets, outputs), [-1]) * weights
        self._totals.assign_add(tf.stack([tf.reduce_sum(losses), tf.reduce_sum(correct)]))
        return losses
