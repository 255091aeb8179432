"""What a network says of pictures: probabilities or numbers, whatever the batches, and their loss."""

import numpy as np
import pytest
from conftest import DEFAULTS

from cnn.common.params import Params
from cnn.common.task import Classification, Regression, Task
from cnn.model import outputs
from cnn.model.backend import keras
from cnn.model.build import build

TWO, THREE = Classification(("a", "b")), Classification(("a", "b", "c"))
NUMBER = Regression(mean=50.0, deviation=4.0)
IMAGES = np.random.default_rng(0).integers(0, 256, (7, 16, 16, 3), dtype=np.uint8)


def network(task: Task, loss: str = "auto") -> keras.Model:
    keras.utils.set_random_seed(0)
    return build(Params(**(DEFAULTS | {"image_size": 16, "loss": loss})), task)


def test_probabilities_of_two_classes_add_up_to_one():
    model = network(TWO)
    probabilities = outputs.predict(model, TWO, IMAGES)
    assert probabilities.shape == (7, 2)
    assert np.allclose(probabilities.sum(axis=1), 1)
    assert np.allclose(probabilities[:, 1:], model(IMAGES))


@pytest.mark.parametrize("task", [TWO, THREE, NUMBER])
def test_predictions_are_kerass_whatever_the_threads(task):
    model = network(task)
    predicted = outputs.predict(model, task, IMAGES, threads=1, batch_size=3)
    assert np.array_equal(predicted, outputs.predict(model, task, IMAGES, threads=3, batch_size=3))
    by_keras = model.predict(IMAGES, batch_size=3, verbose=0)
    assert np.allclose(predicted[:, -by_keras.shape[1] :], by_keras)


@pytest.mark.parametrize(
    ("task", "name", "by_keras"),
    [
        (TWO, "auto", "binary_crossentropy"),
        (TWO, "categorical_crossentropy", "categorical_crossentropy"),
        (THREE, "auto", "categorical_crossentropy"),
        (THREE, "mean_squared_error", "mean_squared_error"),
    ],
)
def test_the_loss_of_classes_is_kerass(task, name, by_keras):
    model, labels = network(task, name), np.arange(7) % len(task.classes)
    model.compile(loss=by_keras)
    targets = labels[:, None] if model.output_shape[-1] == 1 else np.eye(len(task.classes))[labels]
    expected = model.evaluate(IMAGES, targets, verbose=0)
    assert outputs.loss(name, task, outputs.predict(model, task, IMAGES), labels) == pytest.approx(expected, rel=1e-5)


def test_the_loss_of_numbers_is_counted_in_standard_deviations():
    predicted = np.array([[50.0], [58.0]], dtype=np.float32)
    assert outputs.loss("auto", NUMBER, predicted, np.array([54.0, 50.0])) == pytest.approx((1**2 + 2**2) / 2)
