import subprocess
import sys

import numpy as np
import pytest
from conftest import DEFAULTS, ROOT

from cnn.common import runtime
from cnn.common.params import OPTIMIZERS, Params, check, loss_name
from cnn.common.runtime import UserError
from cnn.model import build


def params(**changes: object) -> Params:
    return Params(**(DEFAULTS | changes))


def shapes(model) -> list[tuple]:
    return [layer.output.shape[1:] for layer in model.layers if layer.weights or "pool" in layer.name]


def test_the_articles_network_has_its_layers_and_705412_parameters():
    model = build.build(params(activation="sigmoid"), 4)
    assert shapes(model) == [(94, 94, 6), (47, 47, 6), (45, 45, 12), (22, 22, 12), (120,), (60,), (4,)]
    assert model.count_params() == 705_412
    counts = [layer.count_params() for layer in model.layers if layer.weights]
    assert counts == [168, 660, 697_080, 7_260, 244]


def test_the_articles_deeper_network_doubles_the_filters_again():
    model = build.build(params(depth=3), 4)
    assert shapes(model)[4:6] == [(20, 20, 24), (10, 10, 24)]


def test_the_summary_names_every_layer_and_the_total():
    text = build.summary(build.build(params(), 4))
    for words in ("conv_1 ", "Conv2D", "47 x 47 x 6", "697,080", "705,412"):
        assert words in text


@pytest.mark.parametrize(("size", "largest"), [(96, 5), (32, 3), (8, 1), (9, 1), (10, 2), (200, 6)])
def test_the_largest_depth_works_and_one_more_is_refused(size, largest):
    assert build.build(params(image_size=size, depth=largest), 3).count_params() > 0
    with pytest.raises(UserError, match=f"depth is {largest + 1}.*largest depth that works is {largest}"):
        check(DEFAULTS | {"image_size": size, "depth": largest + 1})


def test_two_classes_have_one_sigmoid_unit_and_other_losses_a_softmax():
    assert build.build(params(), 2).output_shape == (None, 1)
    assert build.build(params(loss="categorical_crossentropy"), 2).output_shape == (None, 2)
    assert build.build(params(loss="mean_squared_error"), 2).output_shape == (None, 2)
    assert loss_name("auto", 3) == "categorical_crossentropy"
    with pytest.raises(UserError, match="for 2 classes; there are 3"):
        build.build(params(loss="binary_crossentropy"), 3)


def test_targets_fit_the_outputs():
    labels = np.array([1, 0])
    assert build.targets(labels, 1).tolist() == [[1.0], [0.0]]
    assert build.targets(labels, 3).tolist() == [[0, 1, 0], [1, 0, 0]]


def test_probabilities_of_two_classes_add_up_to_one():
    runtime.seed_everything(0)
    model = build.build(params(image_size=16), 2)
    result = build.answers(model, np.full((3, 16, 16, 3), 200, dtype=np.uint8))
    assert result.shape == (3, 2)
    assert np.allclose(result.sum(axis=1), 1)


def test_pixels_are_scaled_inside_the_network():
    runtime.seed_everything(0)
    model = build.build(params(image_size=16), 3)
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    after = build.keras.Model(model.input, model.get_layer("scale").output).predict(images, verbose=0)
    assert np.allclose(after, images / 255)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_optimizer_has_the_learning_rate_asked_for(name):
    optimizer = build.optimizer(name, 0.25)
    assert float(optimizer.learning_rate) == 0.25
    if name in ("momentum", "nesterov"):
        assert (optimizer.momentum, optimizer.nesterov) == (0.9, name == "nesterov")


def test_a_saved_model_has_the_same_bytes_each_time_and_loads_in_safe_mode(tmp_path):
    files = []
    for number in range(2):
        build.keras.utils.clear_session()
        runtime.seed_everything(3)
        model = build.build(params(image_size=16), 3)
        files.append(tmp_path / f"{number}.keras")
        build.save(model, files[-1])
    assert files[0].read_bytes() == files[1].read_bytes()
    loaded = build.load(files[0])
    for before, after in zip(model.get_weights(), loaded.get_weights(), strict=True):
        assert np.array_equal(before, after)
    assert build.architecture(loaded) == build.architecture(model)


def test_keras_is_imported_without_what_nothing_here_asks_it_for():
    code = (
        "import gc, sys; from stages.lib import network\n"
        "print(gc.isenabled(), gc.get_freeze_count() > 100_000)\n"
        "print(sorted({'matplotlib', 'pandas'} & sys.modules.keys())); import matplotlib, pandas"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "True True\n[]\n"
