"""A network is saved with the same bytes each time, and read again as the same network."""

import numpy as np
import pytest
from conftest import DEFAULTS

from cnn.common.params import Params
from cnn.common.task import Classification
from cnn.model import saving
from cnn.model.backend import keras
from cnn.model.build import build

FOUR = Classification(("a", "b", "c", "d"))


def network(**changes: object) -> keras.Model:
    """With names and weights as a program has them that builds nothing else."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(3)
    return build(Params(**(DEFAULTS | {"image_size": 16} | changes)), FOUR)


def test_the_summary_names_every_layer_and_the_total():
    text = saving.summary(network(image_size=96))
    for words in ("conv_1 ", "Conv2D", "47 x 47 x 6", "697,080", "705,412"):
        assert words in text


def test_a_saved_model_has_the_same_bytes_each_time_and_loads_in_safe_mode(tmp_path):
    files = [tmp_path / f"{number}.keras" for number in range(2)]
    for path in files:
        model = network()
        saving.save(model, path)
    assert files[0].read_bytes() == files[1].read_bytes()
    loaded = saving.load(files[0])
    for before, after in zip(model.get_weights(), loaded.get_weights(), strict=True):
        assert np.array_equal(before, after)
    assert saving.architecture(loaded) == saving.architecture(model)


def test_weights_have_the_same_bytes_each_time_and_keras_reads_them(tmp_path):
    files = [tmp_path / f"{number}.weights.h5" for number in range(2)]
    for path in files:
        model = network()
        saving.save_weights(model, path)
    assert files[0].read_bytes() == files[1].read_bytes()
    other = build(Params(**(DEFAULTS | {"image_size": 16})), FOUR)
    assert not np.array_equal(other.get_weights()[0], model.get_weights()[0])
    other.load_weights(files[0])
    for before, after in zip(model.get_weights(), other.get_weights(), strict=True):
        assert np.array_equal(before, after)


@pytest.mark.parametrize("others", [[], [np.zeros(3)]])  # a checkpoint's state goes on with the optimizer's
def test_an_architecture_is_read_with_weights_of_its_own(tmp_path, others):
    model = network(batch_normalization=True)
    path = tmp_path / "architecture.json"
    path.write_text(saving.architecture(model))
    read = saving.read_architecture(path, model.get_weights() + others)
    assert saving.architecture(read) == saving.architecture(model)
    for before, after in zip(model.get_weights(), read.get_weights(), strict=True):
        assert np.array_equal(before, after)
