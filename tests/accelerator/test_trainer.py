"""Training in the folded form loses what Keras's own fit loses, epoch for epoch."""

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import DEFAULTS, stripes

from cnn.accelerator.computation import Computations
from cnn.accelerator.trainer import Trainer
from cnn.common import dataset, parallel, params
from cnn.common.runtime import UserError
from cnn.model import build
from cnn.model.backend import keras

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


def prepare(folder: Path, changes: dict, classes: int) -> tuple[params.Params, Path, Path]:
    """The checked parameters, and files with the architecture and the first weights."""
    keras.utils.set_random_seed(0)
    p = params.check(DEFAULTS | changes)
    numbers = {"mean": NUMBERS.mean(), "deviation": NUMBERS.std()} if classes == 0 else {}
    model = build.build(p, classes, **numbers)
    build.save_weights(model, folder / "first.weights.h5")
    (folder / "architecture.json").write_text(build.architecture(model))
    return p, folder / "architecture.json", folder / "first.weights.h5"


def pictures(count: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures and the numbers of their classes, or where there are none, the numbers that they stand for."""
    labels = np.arange(count) % (classes or len(NUMBERS))
    images = np.array([np.asarray(stripes(label, number, (96, 96))) for number, label in enumerate(labels)])
    # Without noise, many windows have two convolutions that are equal but for float32's rounding, and which of them
    # is the largest is chance: two trainings part there, as they do if a weight is changed by a millionth.
    noise = np.random.default_rng(1).integers(0, 256, images.shape)
    images = ((images + noise) // 2).astype(np.uint8)
    return images, NUMBERS[labels].astype(np.float32) if classes == 0 else labels.astype(np.int32)


def fold(p: params.Params, images: np.ndarray) -> np.ndarray:
    return dataset.fold(images, *dataset.layout(p.image_size, p.depth))


def fitted(p: params.Params, architecture: Path, weights: Path, images, labels, orders) -> list[tuple]:
    """Loss, accuracy, validation loss and accuracy of each epoch by Keras's fit, the sums in float64.

    In float32, fit's own roundings grow from step to step, by more than 1e-4 in some of these trainings.
    """
    first = build.read_architecture(architecture)
    first.load_weights(weights)
    keras.config.set_dtype_policy("float64")
    keras.config.set_floatx("float64")
    try:
        model = keras.models.model_from_json(architecture.read_text().replace('"float32"', '"float64"'))
        model.set_weights(first.get_weights())
        outputs = model.output_shape[-1]
        loss, score, metric = params.loss_name(p.loss, build.n_classes(model)), "accuracy", "accuracy"
        if build.n_classes(model) == 0:
            unit, score, metric = NUMBERS.std(), "r2_score", keras.metrics.R2Score()
            loss = lambda known, said: keras.losses.mean_squared_error(known / unit, said / unit)  # noqa: E731
        model.compile(build.optimizer(p.optimizer, p.learning_rate), loss, metrics=[metric], run_eagerly=True)
        targets = build.targets(labels, outputs)
        losses = []
        for order in orders:
            done = model.fit(images[order], targets[order], p.batch_size, shuffle=False, verbose=0).history
            val = model.evaluate(images, targets, verbose=0, return_dict=True)
            losses.append((done["loss"][0], done[score][0], val["loss"], val[score]))
        return losses
    finally:
        keras.config.set_dtype_policy("float32")
        keras.config.set_floatx("float32")


def compare(folder: Path, changes: dict, classes: int = 4) -> list[tuple]:
    p, architecture, weights = prepare(folder, changes, classes)
    images, labels = pictures(16, classes)  # a batch of 10 and one of 6
    orders = [np.random.default_rng(epoch).permutation(len(labels)) for epoch in range(p.epochs)]
    trainer = Trainer(p, architecture)
    trainer.start(weights)
    folded = fold(p, images)
    ours = [(*trainer.epoch(folded, labels, order), *trainer.evaluate(folded, labels)) for order in orders]
    theirs = fitted(p, architecture, weights, images, labels, orders)
    np.testing.assert_allclose([row[0::2] for row in ours], [row[0::2] for row in theirs], atol=1e-4)
    exact = 1e-6 if classes else 1e-4  # correct answers are counted, R2 comes from the loss
    np.testing.assert_allclose([row[1::2] for row in ours], [row[1::2] for row in theirs], atol=exact)
    return ours


@pytest.mark.parametrize("rung", RUNGS)
def test_losses_are_those_of_keras(tmp_path, rung):
    compare(tmp_path, RUNGS[rung])


def test_losses_of_two_classes_are_those_of_keras(tmp_path):
    losses = compare(tmp_path, {"learning_rate": 0.01}, classes=2)
    assert losses[-1][0] < losses[0][0]


def test_losses_of_numbers_are_those_of_keras(tmp_path):
    losses = compare(tmp_path, {"learning_rate": 0.002}, classes=0)
    assert losses[-1][0] < losses[0][0]


def test_a_trainer_that_resumes_goes_on_as_if_it_had_not_stopped(tmp_path):
    p, architecture, weights = prepare(tmp_path, {"optimizer": "adam", "learning_rate": 0.003, "image_size": 32}, 4)
    images, labels = pictures(30, 4)
    folded = fold(p, images[:, ::3, ::3])
    order = np.arange(30)
    computations = Computations()
    trainer, other = (Trainer(p, architecture, computations) for _ in range(2))

    def three_epochs(one: Trainer) -> list[float]:
        return [one.epoch(folded, labels, order)[0] for _ in range(3)]

    trainer.start(weights)
    once = three_epochs(trainer)
    kept = trainer.state()
    further = three_epochs(trainer)
    other.start(weights)
    assert three_epochs(other) == once
    three_epochs(other)
    three_epochs(other)
    other.resume(kept)
    assert three_epochs(other) == further
    assert further != once


def test_dropout_draws_from_the_seed_and_leaves_evaluation_alone(tmp_path):
    p, architecture, weights = prepare(tmp_path, {"image_size": 32, "dropout": 0.5}, 4)
    images, labels = pictures(20, 4)
    folded = fold(p, images[:, ::3, ::3])
    trainer = Trainer(p, architecture)

    def epoch(seed: int) -> tuple[tuple[float, float], tuple[float, float]]:
        trainer.start(weights)
        before = trainer.evaluate(folded, labels)
        return before, trainer.epoch(folded, labels, np.arange(20), seed)

    assert epoch(1) == epoch(1)
    assert epoch(1)[1] != epoch(2)[1]
    # What evaluates the pictures is the network without dropout.
    plain = build.build(params.check(DEFAULTS | {"image_size": 32}), 4)
    plain.load_weights(weights)
    answers = build.answers(plain, images[:, ::3, ::3])
    assert epoch(1)[0][1] == pytest.approx(np.mean(answers.argmax(axis=1) == labels))
    assert epoch(1)[0][0] == pytest.approx(build.loss(p, plain, answers, labels), abs=1e-5)


@pytest.mark.parametrize("activation", ["relu", "sigmoid"])  # with and without TensorFlow between the blocks
def test_how_many_threads_share_a_batch_changes_no_bit(tmp_path, activation):
    changes = {"image_size": 32, "dropout": 0.2, "activation": activation, "repeats": 1, "batch_size": 12}
    p, architecture, weights = prepare(tmp_path, changes, 4)
    images, labels = pictures(33, 4)
    folded = fold(p, images[:, ::3, ::3])

    def trained(threads: int) -> tuple:
        one = Trainer(dataclasses.replace(p, workers=threads), architecture)
        assert one.threads == threads
        one.start(weights)
        measured = one.epoch(folded, labels, np.arange(33), 1), one.evaluate(folded, labels)
        return measured, [each.tobytes() for each in one.state()]

    assert trained(1) == trained(2) == trained(3)


@pytest.mark.parametrize("changes", [{}, {"activation": "gelu", "batch_normalization": True, "optimizer": "adam"}])
def test_trainers_that_share_what_is_compiled_share_nothing_else(tmp_path, changes):
    p, architecture, weights = prepare(tmp_path, {"image_size": 32, "learning_rate": 0.003} | changes, 4)
    images, labels = pictures(33, 4)
    folded = fold(p, images[:, ::3, ::3])

    def training(computations: Computations | None, seed: int) -> Iterator[tuple]:
        one = Trainer(p, architecture, computations)
        one.start(weights)
        for epoch in range(3):
            order = np.random.default_rng([seed, epoch]).permutation(33)
            measured = one.epoch(folded, labels, order, 1), one.evaluate(folded, labels)
            yield seed, measured, [each.tobytes() for each in one.state()]

    def last(seed: int, yielded: Iterable[tuple]) -> tuple:
        return [each for each in yielded if each[0] == seed][-1]

    computations = Computations()
    together = list(parallel.round_robin([training(computations, seed) for seed in range(3)], 2))
    for seed in range(3):
        assert last(seed, together) == last(seed, training(None, seed))
    assert last(0, together)[1] != last(1, together)[1]


def test_cores_that_repeats_leave_over_share_their_batches(tmp_path):
    p, architecture, _ = prepare(tmp_path, {"image_size": 32}, 4)
    for cores, repeats, batch_size, threads in (
        *((1, 1, 40, 1), (8, 1, 40, 8), (8, 3, 40, 2), (2, 3, 40, 1)),
        *((8, 1, 10, 5), (8, 1, 3, 1)),  # one picture is not worth the handing over
    ):
        changed = dataclasses.replace(p, workers=cores, repeats=repeats, batch_size=batch_size)
        assert Trainer(changed, architecture).threads == threads


def test_an_architecture_of_another_depth_is_refused(tmp_path):
    _, architecture, _ = prepare(tmp_path, {"image_size": 32}, 4)
    with pytest.raises(UserError, match=r"architecture\.json is of depth 2.*run `dvc repro`"):
        Trainer(params.check(DEFAULTS | {"image_size": 32, "depth": 1}), architecture)
