"""The two tasks: the loss that fits each, and reading the task from data.json."""

import json

import pytest

from cnn.common import task
from cnn.common.params import LOSSES
from cnn.common.runtime import UserError
from cnn.common.task import Classification, Regression

TWO, THREE = Classification(("a", "b")), Classification(("a", "b", "c"))
NUMBER = Regression(mean=50.0, deviation=4.0)


def test_auto_is_the_usual_loss_of_the_task():
    assert TWO.loss("auto") == "binary_crossentropy"
    assert THREE.loss("auto") == "categorical_crossentropy"
    assert NUMBER.loss("auto") == "mean_squared_error"


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "auto"])
def test_a_loss_that_fits_the_task_is_itself_and_another_is_refused(name):
    for each in (TWO, THREE, NUMBER):
        if (each is THREE and name == "binary_crossentropy") or (each is NUMBER and name != "mean_squared_error"):
            with pytest.raises(UserError, match=f"loss is {name}, which is for .*; use auto or "):
                each.loss(name)
        else:
            assert each.loss(name) == name


def test_the_task_is_read_from_what_preprocess_has_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    task.DATA.parent.mkdir()
    for data, expected in (
        ({"classes": ["a", "b", "c"], "splits": {}}, THREE),
        ({"classes": [], "target": {"mean": 50.0, "deviation": 4.0, "least": 1}}, NUMBER),
    ):
        task.DATA.write_text(json.dumps(data))
        assert task.read_task() == expected
    assert (TWO.two, THREE.two) == (True, False)
    assert task.SCORES == ("accuracy", "r2")
