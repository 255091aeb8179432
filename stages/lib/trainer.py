"""Training the plain network in its folded form, many steps in one compiled computation.

Keras's own `fit` computes the same losses (tests/test_trainer.py holds the two together). Here one XLA
computation goes from the bytes of the pictures of many batches to the new weights: a call, what it takes
from Python and the memory it works in cost as much as half a step. The last, smaller batch is filled up
with pictures of weight 0 and the last call does fewer steps, so that neither needs a second compilation.
"""

import functools
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from stages.lib import fold, network
from stages.lib.augment import Augmented
from stages.lib.network import tensorflow as tf
from stages.lib.params import Params, loss_name
from stages.lib.runtime import UserError

Pictures = np.ndarray | Augmented
EVALUATED_AT_ONCE = 10  # pictures; 50 or 100 are no faster
CALL = 8 << 20  # bytes of pictures that one call takes


class Trainer:
    """A network, its optimizer and its compiled steps; weights can be set again without compiling again.

    Pictures are uint8, laid out by array.fold, labels (n,) the numbers of classes, or targets.
    """

    def __init__(self, params: Params, architecture: Path):
        self.batch_size = params.batch_size
        self.model = network.read_architecture(architecture)
        depth, normalized = network.blocks(self.model)
        if (depth, normalized) != (params.depth, params.batch_normalization):
            # The pictures lie as params.yaml's network needs them.
            raise UserError(
                f"{architecture} is of depth {depth}, batch_normalization {str(normalized).lower()}, which is not what "
                "params.yaml says; run `dvc repro`, which builds the network first"
            )
        self.optimizer = network.optimizer(params.optimizer, params.learning_rate)
        self.optimizer.build(self.model.trainable_variables)
        self.n_classes = network.n_classes(self.model)
        self._unit = network.deviation(self.model)
        self._losses = network.keras.losses.get(loss_name(params.loss, self.n_classes))
        metrics = network.keras.metrics
        self._correct = metrics.categorical_accuracy if self.model.output_shape[-1] > 1 else metrics.binary_accuracy
        self._fresh = [variable.numpy() for variable in self.optimizer.variables]
        self._totals = tf.Variable(tf.zeros(2))  # losses and correct answers of an epoch
        self._train = _compiled(functools.partial(self._steps, self._train_batch, self.batch_size))
        self._evaluate = _compiled(functools.partial(self._steps, self._evaluate_batch, EVALUATED_AT_ONCE))

    def start(self, weights: Path) -> None:
        """Take the weights of a .weights.h5 file and forget the optimizer's state."""
        self.model.load_weights(weights)
        for variable, value in zip(self.optimizer.variables, self._fresh, strict=True):
            variable.assign(value)

    def state(self) -> list[np.ndarray]:
        """All that a later epoch depends on: the network's weights, then the optimizer's variables."""
        return [variable.numpy() for variable in self.model.weights + self.optimizer.variables]

    def resume(self, state: list[np.ndarray]) -> None:
        """Go on from what `state` gave."""
        for variable, value in zip(self.model.weights + self.optimizer.variables, state, strict=True):
            variable.assign(value)

    def epoch(self, pictures: Pictures, labels: np.ndarray, order: np.ndarray, seed: int = 0) -> tuple[float, float]:
        """Train on all pictures once in the given order; mean loss and score as they were on the way.

        seed: what dropout leaves out in this epoch.
        """
        return self._run(self._train, pictures, labels, order, self.batch_size, seed)

    def evaluate(self, pictures: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
        """Mean loss and score: accuracy, or where numbers are asked for R2, 1 - mean squared error / variance."""
        return self._run(self._evaluate, pictures, labels, np.arange(len(labels)), EVALUATED_AT_ONCE)

    def _run(
        self,
        steps: Callable[..., None],
        pictures: Pictures,
        labels: np.ndarray,
        order: np.ndarray,
        size: int,
        seed: int = 0,
    ) -> tuple[float, float]:
        targets = network.targets(labels, self.model.output_shape[-1])
        self._totals.assign(tf.zeros(2))
        at_once = size * max(1, CALL // (size * math.prod(self.model.input_shape[1:])))
        for start in range(0, len(order), at_once):
            rows = order[start : start + at_once]
            count = -(-len(rows) // size)
            weights = np.arange(count * size) < len(rows)
            rows = np.resize(rows, count * size)  # from the first again, with weight 0
            arrays = (_filled(each, at_once) for each in (pictures[rows], targets[rows], weights.astype(np.float32)))
            steps(*arrays, seed=np.array([seed, start], np.int32), count=np.int32(count))
        loss, accuracy = (float(mean) for mean in self._totals.numpy() / len(order))
        if self.n_classes == 0:
            return loss, 1 - loss * self._unit**2 / float(np.var(labels, dtype=np.float64))
        return loss, accuracy

    def _steps(
        self,
        step: Callable[..., None],
        size: int,
        *arrays: tf.Tensor,
        seed: tf.Tensor,
        count: tf.Tensor,
    ) -> None:
        """The first `count` batches of `size` rows of pictures, targets and weights, one after the other."""

        def one(number: tf.Tensor) -> tf.Tensor:
            first = number * size
            batch = [tf.slice(x, [first] + [0] * (x.shape.rank - 1), [size, *x.shape[1:]]) for x in arrays]
            step(*batch, seed + tf.stack([0, first]))
            return number + 1

        tf.while_loop(lambda number: number < count, one, [tf.constant(0)])

    def _train_batch(self, pictures: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor, seed: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            outputs = fold.forward(self.model, pictures, weights, seed)
            losses = self._add_up(outputs, targets, weights)
            loss = tf.reduce_sum(losses) / tf.reduce_sum(weights)
        variables = self.model.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)

    def _evaluate_batch(self, pictures: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor, _: tf.Tensor) -> None:
        self._add_up(fold.forward(self.model, pictures), targets, weights)

    def _add_up(self, outputs: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        """The weighted loss of each picture; added to the totals, as are the correct answers."""
        if self.n_classes == 0:
            targets, outputs = targets / self._unit, outputs / self._unit
        losses = self._losses(targets, outputs) * weights
        correct = tf.reshape(self._correct(targets, outputs), [-1]) * weights
        self._totals.assign_add(tf.stack([tf.reduce_sum(losses), tf.reduce_sum(correct)]))
        return losses


def _filled(rows: np.ndarray, count: int) -> np.ndarray:
    """With rows of 0 at the end, `count` in all."""
    return np.pad(rows, [(0, count - len(rows))] + [(0, 0)] * (rows.ndim - 1)) if len(rows) < count else rows


def _compiled(steps: Callable[..., None]) -> Callable[..., None]:
    # Nothing here is Python for AutoGraph to rewrite, which takes it half a second.
    return tf.function(steps, jit_compile=True, autograph=False)


@functools.lru_cache(maxsize=1)
def of_run(params: Params, architecture: Path, run: Path) -> Trainer:
    """This process's Trainer for the run with the checkpoint folder `run`: it is compiled once for all repeats."""
    return Trainer(params, architecture)
