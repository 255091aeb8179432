"""params.yaml: what is accepted, and that each mistake is refused in one line that says what is allowed."""

from dataclasses import asdict, replace

import pydantic
import pytest
from conftest import DEFAULTS, ROOT

from cnn.common import params
from cnn.common.runtime import UserError
from cnn.model.backend import keras


def test_the_shipped_file_is_accepted_and_every_line_says_what_it_is_for():
    assert params.read(ROOT / "params.yaml") == params.Params(**DEFAULTS)
    for line in (ROOT / "params.yaml").read_text().splitlines():
        assert line.count("  # ") == 1, line


def test_activations_are_those_of_keras():
    names = [name for name in dir(keras.activations) if not name.startswith("_")]
    assert sorted(params.ACTIVATIONS) == sorted(
        set(names)
        - {
            *("get", "serialize", "deserialize"),
            *("glu", "threshold"),  # one halves the channels, which its layer does not know; the other needs numbers
        }
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"optimiser": "sgd"}, ["unknown key 'optimiser'", "did you mean 'optimizer'"]),
        ({"optimizer": "adagrat"}, ["optimizer is 'adagrat'", "did you mean 'adagrad'"]),
        ({"activation": "rleu"}, ["activation is 'rleu'", "did you mean 'relu'"]),
        ({"loss": "hinge"}, ["loss is 'hinge'", "mean_squared_error"]),
        ({"epochs": 5.0}, ["epochs is 5.0", "a whole number from 1"]),
        ({"epochs": True}, ["epochs is True"]),
        ({"epochs": 0}, ["epochs is 0", "from 1"]),
        ({"depth": "2"}, ["depth is '2'"]),
        ({"learning_rate": -1}, ["learning_rate is -1", "above 0"]),
        ({"learning_rate": float("nan")}, ["learning_rate is nan"]),
        ({"learning_rate": None}, ["learning_rate is None"]),
        ({"test": 0}, ["test is 0"]),
        ({"validation": 0.6, "test": 0.6}, ["validation 0.6 + test 0.6", "at most 0.9"]),
        ({"workers": "many"}, ["workers is 'many'", "auto"]),
        ({"workers": 0}, ["workers is 0"]),
        ({"images": ""}, ["images is ''"]),
        ({"seed": -1}, ["seed is -1"]),
        ({"optimizer": ["sgd"]}, ["optimizer is ['sgd']"]),
    ],
)
def test_a_mistake_is_named_with_key_value_and_what_is_allowed(change, words):
    with pytest.raises(UserError) as error:
        params.check(DEFAULTS | change)
    for word in words:
        assert word in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("epochs", 0, "allowed: a whole number from 1 to 100000"),
        ("learning_rate", 0, "allowed: a number above 0 and at most 1000"),
        ("dropout", 1.0, "allowed: a number from 0 to 0.95"),
        ("flip", 1, "allowed: true or false"),
        ("workers", 1025, "allowed: auto, or a whole number from 1 to 1024"),
        (
            "optimizer",
            "adagrat",
            "allowed: sgd, momentum, nesterov, adagrad, rmsprop, adam, adamw (did you mean 'adagrad'?)",
        ),
        (
            "images",
            " ",
            "allowed: the path of a folder, .zip, .tar, .tar.gz, .csv or .tsv, such as data/mine.zip",
        ),
    ],
)
def test_each_kind_of_value_has_its_words(key, value, words):
    assert params.refusal(key, value) == words
    with pytest.raises(UserError) as error:
        params.check(DEFAULTS | {key: value}, "my.yaml")
    assert str(error.value) == f"my.yaml: {key} is {value!r}; {words}"


def test_a_single_value_is_accepted_or_refused_as_in_the_file():
    assert params.names() == tuple(DEFAULTS)
    for key, value in DEFAULTS.items():
        assert params.refusal(key, value) is None
        assert params.refusal(key, None).startswith("allowed: ")


def test_parameters_are_a_dataclass_whose_copies_are_checked_too():
    base = params.check(DEFAULTS)
    assert asdict(replace(base, epochs=77)) == DEFAULTS | {"epochs": 77}
    with pytest.raises(pydantic.ValidationError):
        replace(base, epochs=0)


def test_a_whole_number_is_a_number():
    learning_rate = params.check(DEFAULTS | {"learning_rate": 1}).learning_rate
    assert (learning_rate, type(learning_rate)) == (1.0, float)


def test_a_number_that_dvc_writes_with_an_exponent_is_a_number(tmp_path):
    text = (ROOT / "params.yaml").read_text().replace("learning_rate: 0.05", "learning_rate: 5e-05")
    (tmp_path / "params.yaml").write_text(text)
    assert params.read(tmp_path / "params.yaml").learning_rate == 5e-05


def test_a_missing_key_is_named():
    values = dict(DEFAULTS)
    del values["epochs"]
    with pytest.raises(UserError, match=r"key 'epochs' is missing; allowed: a whole number from 1 to 100000$"):
        params.check(values)


@pytest.mark.parametrize(
    "text", ["epochs: [", "\tepochs: 5", "just words", "", "- 1\n- 2", "!!python/object:os.x {}", "images: 2024-02-30"]
)
def test_a_file_that_is_no_table_of_keys_is_refused(tmp_path, text):
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(UserError, match="expected lines such as"):
        params.read(tmp_path / "params.yaml")


def test_a_missing_file_and_one_that_is_no_text_are_refused(tmp_path):
    with pytest.raises(UserError, match="is missing"):
        params.read(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="not valid YAML"):
        params.read(tmp_path / "params.yaml")
