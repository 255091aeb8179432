"""The exported files give the Keras model's answers, have the same bytes each time, and carry the class names."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from conftest import DEFAULTS, write_params, write_pictures
from support import md5s, run_all

from cnn.common import dataset, params, render
from cnn.common.runtime import UserError
from cnn.export import onnx, tflite
from cnn.inference.model import Model
from cnn.model import build, labels
from cnn.model.backend import keras
from cnn.model.backend import tensorflow as tf
from stages import export

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 24, 24, 3), dtype=np.uint8)


def model(classes: int = 3, **changes: object) -> keras.Model:
    keras.utils.set_random_seed(0)
    return build.build(params.check(DEFAULTS | {"image_size": 24, **changes}), classes)


def by_onnx(file: bytes, images: np.ndarray) -> np.ndarray:
    return onnxruntime.InferenceSession(file).run([onnx.ANSWERS], {onnx.INPUT: images})[0]


@pytest.mark.parametrize("activation", sorted(set(params.ACTIVATIONS) - {"exponential"}))  # it overflows untrained
def test_onnx_has_every_activation(activation):
    # 25 pixels a side: the pooling drops a row; normalization and dropout are in, too.
    images = np.pad(IMAGES, ((0, 0), (0, 1), (0, 1), (0, 0)))
    plain = model(image_size=25, activation=activation, batch_normalization=True, dropout=0.2)
    found = by_onnx(onnx.build(plain, {}), images)
    np.testing.assert_allclose(found, plain(images), atol=1e-5)


def test_features_are_what_the_last_layer_sees():
    plain = model()
    (found,) = onnxruntime.InferenceSession(onnx.build(plain, {})).run(["features"], {"pixels": IMAGES})
    seen = keras.Model(plain.inputs, plain.layers[-1].input)(IMAGES)
    np.testing.assert_allclose(found, seen, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("activation", ["relu", "gelu", "sparsemax", "softsign"])
def test_litert_gives_the_models_answers_and_nearly_so_in_8_bits(activation):
    plain = model(activation=activation)
    metadata = {"classes": ["a", "ü", "|"]}
    dark = IMAGES // 2  # with no white pixel
    file, small = tflite.convert(plain, metadata), tflite.quantize(plain, dark, metadata)
    np.testing.assert_allclose(tflite.answers(file, dark), plain(dark), atol=1e-5)
    np.testing.assert_allclose(tflite.answers(small, dark), plain(dark), atol=0.05)
    interpreter = tf.lite.Interpreter(model_content=small)
    (given,) = interpreter.get_input_details()
    assert given["dtype"] == np.float32 or given["quantization"] == (1.0, 0), "a pixel's byte is what it takes"
    assert len(small) < 0.4 * len(file)
    assert tflite.read_metadata(file) == tflite.read_metadata(small) == metadata
    assert file == tflite.convert(plain, metadata) and small == tflite.quantize(plain, dark, metadata)


@pytest.mark.parametrize("classes", [("across", "along", "falling"), ("across", "along")])
def test_the_stage_writes_files_that_agree_on_every_test_picture(work, classes):
    write_pictures(work / "pictures", classes)
    write_params(epochs=3, optimizer="adam", learning_rate=0.003)
    run_all()
    export.main()
    once = md5s()
    export.main()
    assert md5s() == once, "the same bytes again"

    images = dataset.read("test").images
    expected = build.answers(build.load(export.MODEL), images)
    classifier = Model(export.MODEL)
    assert classifier.classes == list(classes)
    lite = labels.of_classes(tflite.answers(export.LITERT.read_bytes(), images))
    for found in (classifier.raw(images), lite):
        np.testing.assert_allclose(found, expected, atol=1e-5)
        assert (found.argmax(axis=1) == expected.argmax(axis=1)).all()
    assert (classifier.answers(images).argmax(axis=1) == expected.argmax(axis=1)).all()

    metrics, said = (json.loads(Path(f"reports/{name}.json").read_text()) for name in ("metrics", "export"))
    assert said["int8_accuracy_lost"] == pytest.approx(metrics["accuracy"] - said["int8_accuracy"], abs=1e-4)
    card = export.CARD.read_text()
    assert f"{metrics['accuracy']:.3f}" in card and "across, along" in card and once["models/model.onnx"] in card


def test_a_model_that_is_missing_damaged_or_of_another_training_is_said_so(tmp_path):
    file, keras_file = tmp_path / "model.onnx", tmp_path / "model.keras"
    with pytest.raises(UserError, match=r"model\.onnx is missing; `dvc repro` makes it"):
        Model(keras_file)
    file.write_bytes(b"nonsense")
    with pytest.raises(UserError, match="is no model of this project"):
        Model(file)
    file.write_bytes(onnx.build(model(), {"classes": ["a", "b", "c"], "temperature": 1.0, "keras_md5": "0"}))
    assert Model(file).classes == ["a", "b", "c"]
    keras_file.write_bytes(b"another")
    with pytest.raises(UserError, match=r"was made from another model\.keras"):
        Model(keras_file)
    file.write_bytes(file.read_bytes().replace(b"answers", b"outputs"))
    with pytest.raises(UserError, match=r"no model of this project .its outputs are features, outputs, not answers"):
        Model(file)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("<img src=x onerror=alert(1)>", r"\<img src=x onerror=alert(1)\>"),
        ("[a](javascript:x)|b\n# c", r"\[a\](javascript:x)\|b \# c"),
    ],
)
def test_names_are_text_in_markdown(name, shown):
    assert render.markdown(name) == shown
