"""The article's network: its layers, its sizes and its heads."""

import subprocess
import sys

import numpy as np
import pytest
from conftest import DEFAULTS, ROOT

from cnn.common.params import OPTIMIZERS, Params, check
from cnn.common.runtime import UserError
from cnn.common.task import Classification, Regression
from cnn.model import backend
from cnn.model.build import build
from cnn.model.optimizers import optimizer

TWO, THREE, FOUR = (Classification(tuple("abcd"[:count])) for count in (2, 3, 4))


def params(**changes: object) -> Params:
    return Params(**(DEFAULTS | changes))


def shapes(model) -> list[tuple]:
    return [layer.output.shape[1:] for layer in model.layers if layer.weights or "pool" in layer.name]


def test_the_articles_network_has_its_layers_and_705412_parameters():
    model = build(params(activation="sigmoid"), FOUR)
    assert shapes(model) == [(94, 94, 6), (47, 47, 6), (45, 45, 12), (22, 22, 12), (120,), (60,), (4,)]
    assert model.count_params() == 705_412
    counts = [layer.count_params() for layer in model.layers if layer.weights]
    assert counts == [168, 660, 697_080, 7_260, 244]


def test_the_articles_deeper_network_doubles_the_filters_again():
    model = build(params(depth=3), FOUR)
    assert shapes(model)[4:6] == [(20, 20, 24), (10, 10, 24)]


@pytest.mark.parametrize(("size", "largest"), [(96, 5), (32, 3), (8, 1), (9, 1), (10, 2), (200, 6)])
def test_the_largest_depth_works_and_one_more_is_refused(size, largest):
    assert build(params(image_size=size, depth=largest), THREE).count_params() > 0
    with pytest.raises(UserError, match=f"depth is {largest + 1}.*largest depth that works is {largest}"):
        check(DEFAULTS | {"image_size": size, "depth": largest + 1})


def test_two_classes_have_one_sigmoid_unit_and_other_losses_a_softmax():
    assert build(params(), TWO).output_shape == (None, 1)
    assert build(params(loss="categorical_crossentropy"), TWO).output_shape == (None, 2)
    assert build(params(loss="mean_squared_error"), TWO).output_shape == (None, 2)
    assert build(params(), THREE).output_shape == (None, 3)
    with pytest.raises(UserError, match="for 2 classes; there are 3"):
        build(params(loss="binary_crossentropy"), THREE)


def test_a_number_is_the_mean_and_some_standard_deviations():
    model = build(params(image_size=16), Regression(mean=50.0, deviation=4.0))
    assert model.output_shape == (None, 1)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    deviations = backend.keras.Model(model.input, model.get_layer("deviations").output)(pixels)
    assert np.allclose(model(pixels), 50 + 4 * deviations.numpy())
    with pytest.raises(UserError, match="the pictures have numbers"):
        build(params(loss="categorical_crossentropy"), Regression())


def test_pixels_are_scaled_inside_the_network():
    model = build(params(image_size=16), THREE)
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    after = backend.keras.Model(model.input, model.get_layer("scale").output).predict(images, verbose=0)
    assert np.allclose(after, images / 255)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_optimizer_has_the_learning_rate_of_the_parameters(name):
    made = optimizer(name, 0.25)
    assert float(made.learning_rate) == 0.25
    if name in ("momentum", "nesterov"):
        assert (made.momentum, made.nesterov) == (0.9, name == "nesterov")


def test_python_collects_garbage_of_what_comes_after_the_import_of_keras():
    code = "import gc; from cnn.model import backend; print(gc.isenabled(), gc.get_freeze_count() > 100_000)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "True True\n"
