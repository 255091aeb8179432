"""The compiled training loses what Keras's own fit loses, epoch for epoch."""

import dataclasses
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue

import numpy as np
import pytest
from conftest import DEFAULTS, stripes

from cnn.accelerator import Trainer, layout
from cnn.common import parallel, params
from cnn.common.task import Classification, Regression, Task
from cnn.model import labels, outputs, saving
from cnn.model.backend import keras
from cnn.model.build import build
from cnn.model.optimizers import optimizer

# The article's ladder; what is not named is as in the rung before.
RUNGS = {
    "baseline": {"activation": "sigmoid", "learning_rate": 0.5},
    "relu": {"activation": "relu", "learning_rate": 0.5},
    "learning-rate": {"activation": "relu", "learning_rate": 0.05},
    "deeper": {"activation": "relu", "learning_rate": 0.05, "depth": 3},
    "adagrad": {"activation": "relu", "learning_rate": 0.01, "depth": 3, "optimizer": "adagrad"},
    # Beyond the article: every other optimizer and loss.
    "momentum": {"optimizer": "momentum", "learning_rate": 0.01},
    "nesterov": {"optimizer": "nesterov", "learning_rate": 0.01},
    "rmsprop": {"optimizer": "rmsprop", "learning_rate": 0.001},
    "adam": {"optimizer": "adam", "learning_rate": 0.001},
    "adamw": {"optimizer": "adamw", "learning_rate": 0.001},
    "mean squared error": {"loss": "mean_squared_error"},
    "normalized": {"batch_normalization": True, "filters": 4, "learning_rate": 0.001},
}
NUMBERS = np.array([100.0, 150.0, 250.0, 400.0])  # one for each direction of the stripes
TWO, FOUR = Classification(("across", "along")), Classification(("across", "along", "falling", "rising"))
NUMBER = Regression(NUMBERS.mean(), NUMBERS.std())


def prepare(folder: Path, changes: dict, task: Task = FOUR) -> tuple[params.Params, Path, Path]:
    """The checked parameters, and files with the architecture and the first weights."""
    keras.utils.set_random_seed(0)
    p = params.check(DEFAULTS | changes)
    model = build(p, task)
    saving.save_weights(model, folder / "first.weights.h5")
    (folder / "architecture.json").write_text(saving.architecture(model))
    return p, folder / "architecture.json", folder / "first.weights.h5"


def pictures(count: int, task: Task = FOUR) -> tuple[np.ndarray, np.ndarray]:
    """Pictures, uint8 (count, 96, 96, 3), and their labels, or the numbers that they stand for."""
    directions = np.arange(count) % (len(NUMBERS) if task is NUMBER else len(task.classes))
    images = np.array([np.asarray(stripes(label, number, (96, 96))) for number, label in enumerate(directions)])
    # Without noise, many windows have two convolutions that are equal but for float32's rounding, and which of them
    # is the largest is chance: two trainings part there, as they do if a weight is changed by a millionth.
    noise = np.random.default_rng(1).integers(0, 256, images.shape)
    images = ((images + noise) // 2).astype(np.uint8)
    return images, NUMBERS[directions].astype(np.float32) if task is NUMBER else directions.astype(np.int32)


def small_pictures(count: int) -> tuple[np.ndarray, np.ndarray]:
    """The same with 32 pixels a side."""
    images, known = pictures(count)
    return np.ascontiguousarray(images[:, ::3, ::3]), known


def fitted(p: params.Params, task: Task, architecture: Path, weights: Path, images, known, orders) -> list[tuple]:
    """Loss, accuracy, validation loss and accuracy of each epoch by Keras's fit, the sums in float64.

    In float32, fit's own roundings grow from step to step, by more than 1e-4 in some of these trainings.
    """
    first = saving.read_architecture(architecture)
    first.load_weights(weights)
    keras.config.set_dtype_policy("float64")
    keras.config.set_floatx("float64")
    try:
        model = keras.models.model_from_json(architecture.read_text().replace('"float32"', '"float64"'))
        model.set_weights(first.get_weights())
        loss, score, metric = task.loss(p.loss), "accuracy", "accuracy"
        if task is NUMBER:
            unit, score, metric = NUMBERS.std(), "r2_score", keras.metrics.R2Score()
            loss = lambda true, predicted: keras.losses.mean_squared_error(true / unit, predicted / unit)  # noqa: E731
        model.compile(optimizer(p.optimizer, p.learning_rate), loss, metrics=[metric], run_eagerly=True)
        targets = labels.targets(known, model.output_shape[-1])
        losses = []
        for order in orders:
            done = model.fit(images[order], targets[order], p.batch_size, shuffle=False, verbose=0).history
            val = model.evaluate(images, targets, verbose=0, return_dict=True)
            losses.append((done["loss"][0], done[score][0], val["loss"], val[score]))
        return losses
    finally:
        keras.config.set_dtype_policy("float32")
        keras.config.set_floatx("float32")


def compare(folder: Path, changes: dict, task: Task = FOUR) -> list[tuple]:
    p, architecture, weights = prepare(folder, changes, task)
    images, known = pictures(16, task)  # a batch of 10 and one of 6
    orders = [np.random.default_rng(epoch).permutation(len(known)) for epoch in range(p.epochs)]
    trainer = Trainer(p, task, architecture)
    trainer.start(weights)
    ours = [(*trainer.epoch(images, known, order), *trainer.evaluate(images, known)) for order in orders]
    theirs = fitted(p, task, architecture, weights, images, known, orders)
    np.testing.assert_allclose([row[0::2] for row in ours], [row[0::2] for row in theirs], atol=1e-4)
    exact = 1e-4 if task is NUMBER else 1e-6  # correct answers are counted, R2 comes from the loss
    np.testing.assert_allclose([row[1::2] for row in ours], [row[1::2] for row in theirs], atol=exact)
    return ours


@pytest.mark.parametrize("rung", RUNGS)
def test_losses_are_those_of_keras(tmp_path, rung):
    compare(tmp_path, RUNGS[rung])


def test_losses_of_two_classes_are_those_of_keras(tmp_path):
    losses = compare(tmp_path, {"learning_rate": 0.01}, TWO)
    assert losses[-1][0] < losses[0][0]


def test_losses_of_numbers_are_those_of_keras(tmp_path):
    losses = compare(tmp_path, {"learning_rate": 0.002}, NUMBER)
    assert losses[-1][0] < losses[0][0]


def test_a_trainer_that_resumes_goes_on_as_if_it_had_not_stopped(tmp_path):
    p, architecture, weights = prepare(tmp_path, {"optimizer": "adam", "learning_rate": 0.003, "image_size": 32})
    images, known = small_pictures(30)
    order = np.arange(30)
    trainer, other = (Trainer(p, FOUR, architecture) for _ in range(2))

    def three_epochs(one: Trainer) -> list[float]:
        return [one.epoch(images, known, order)[0] for _ in range(3)]

    trainer.start(weights)
    once = three_epochs(trainer)
    state = trainer.state()
    further = three_epochs(trainer)
    other.start(weights)
    assert three_epochs(other) == once
    three_epochs(other)
    three_epochs(other)
    other.resume(state)
    assert three_epochs(other) == further
    assert further != once


def test_dropout_draws_from_the_seed_and_leaves_evaluation_alone(tmp_path):
    p, architecture, weights = prepare(tmp_path, {"image_size": 32, "dropout": 0.5})
    images, known = small_pictures(20)
    trainer = Trainer(p, FOUR, architecture)

    def epoch(seed: int) -> tuple[tuple[float, float], tuple[float, float]]:
        trainer.start(weights)
        before = trainer.evaluate(images, known)
        return before, trainer.epoch(images, known, np.arange(20), seed)

    assert epoch(1) == epoch(1)
    assert epoch(1)[1] != epoch(2)[1]
    # What evaluates the pictures is the network without dropout.
    plain = build(params.check(DEFAULTS | {"image_size": 32}), FOUR)
    plain.load_weights(weights)
    predicted = outputs.predict(plain, FOUR, images)
    assert epoch(1)[0][1] == pytest.approx(np.mean(predicted.argmax(axis=1) == known))
    assert epoch(1)[0][0] == pytest.approx(outputs.loss(p.loss, FOUR, predicted, known), abs=1e-5)


@pytest.mark.parametrize("changes", [{}, {"activation": "gelu", "batch_normalization": True, "optimizer": "adam"}])
def test_trainers_in_two_threads_that_take_turns_at_repeats_train_each_as_one_alone_does(tmp_path, changes):
    p, architecture, weights = prepare(tmp_path, {"image_size": 32, "learning_rate": 0.003, "dropout": 0.2} | changes)
    images, known = small_pictures(33)

    def epoch(trainer: Trainer, repeat: int, state: list[np.ndarray] | None, number: int) -> list[np.ndarray]:
        if state:
            trainer.resume(state)
        else:
            trainer.start(weights)
        order = np.random.default_rng([repeat, number]).permutation(33)
        trainer.epoch(images, known, order, repeat)
        trainer.evaluate(images, known)
        return trainer.state()

    def alone(repeat: int) -> list[bytes]:
        trainer, state = Trainer(p, FOUR, architecture), None
        for number in range(3):
            state = epoch(trainer, repeat, state, number)
        return [each.tobytes() for each in state]

    waiting: SimpleQueue = SimpleQueue()
    states: dict[int, list[np.ndarray] | None] = dict.fromkeys(range(3))
    for repeat in states:
        waiting.put((repeat, 0))

    def work() -> None:
        trainer = Trainer(p, FOUR, architecture)
        with suppress(Empty):
            while True:
                repeat, number = waiting.get_nowait()
                states[repeat] = epoch(trainer, repeat, states[repeat], number)
                if number < 2:
                    waiting.put((repeat, number + 1))

    parallel.in_threads(work, 2)
    together = {repeat: [each.tobytes() for each in state] for repeat, state in states.items()}
    assert together == {repeat: alone(repeat) for repeat in range(3)}
    assert together[0] != together[1]


def test_the_architecture_alone_says_what_is_trained_and_pictures_may_be_folded_already(tmp_path):
    p, architecture, weights = prepare(tmp_path, {"image_size": 32})
    images, known = small_pictures(20)
    folded = layout.fold(images, *layout.of_network(size=32, depth=2))

    def trained(params_: params.Params, some: np.ndarray) -> list[bytes]:
        trainer = Trainer(params_, FOUR, architecture)
        trainer.start(weights)
        trainer.epoch(some, known, np.arange(20))
        return [each.tobytes() for each in trainer.state()]

    assert trained(p, images) == trained(p, folded) == trained(dataclasses.replace(p, depth=1), images)
