"""The exported files give the Keras model's answers, have the same bytes each time, and carry the class names."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from conftest import write_params, write_pictures
from support import md5s, run_all, untrained

from cnn.common import dataset, params, render
from cnn.common.runtime import UserError
from cnn.common.task import Classification, Regression
from cnn.export import card, onnx, tflite
from cnn.inference.model import Model
from cnn.model import labels, outputs, saving
from cnn.model.backend import keras
from cnn.model.backend import tensorflow as tf
from stages import export

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 24, 24, 3), dtype=np.uint8)
THREE = Classification(("a", "b", "c"))


def model(**changes: object) -> keras.Model:
    return untrained(THREE, **{"image_size": 24, **changes})


def by_onnx(file: bytes, images: np.ndarray) -> np.ndarray:
    return onnxruntime.InferenceSession(file).run([onnx.ANSWERS], {onnx.INPUT: images})[0]


def metadata_of(file: bytes) -> dict[str, object]:
    """What a .tflite file holds in its one buffer of metadata that is this project's."""
    model = tflite.flatbuffer_utils.read_model_from_bytearray(bytearray(file))
    (buffer,) = (each.buffer for each in model.metadata if each.name in (tflite.METADATA, tflite.METADATA.encode()))
    return json.loads(bytes(model.buffers[buffer].data))


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
    np.testing.assert_allclose(tflite.predict(file, dark), plain(dark), atol=1e-5)
    np.testing.assert_allclose(tflite.predict(small, dark), plain(dark), atol=0.05)
    interpreter = tf.lite.Interpreter(model_content=small)
    (input_,) = interpreter.get_input_details()
    assert input_["dtype"] == np.float32 or input_["quantization"] == (1.0, 0), "a pixel's byte is what it takes"
    assert len(small) < 0.4 * len(file)
    assert metadata_of(file) == metadata_of(small) == metadata
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
    task = Classification(classes)
    expected = outputs.predict(saving.load(export.MODEL), task, images)
    classifier = Model(export.MODEL)
    assert classifier.task == task
    lite = labels.probabilities(tflite.predict(export.LITERT.read_bytes(), images))
    for found in (classifier.predict_uncalibrated(images), lite):
        np.testing.assert_allclose(found, expected, atol=1e-5)
        assert (found.argmax(axis=1) == expected.argmax(axis=1)).all()
    assert (classifier.predict(images).argmax(axis=1) == expected.argmax(axis=1)).all()

    metrics, exported = (json.loads(Path(f"reports/{name}.json").read_text()) for name in ("metrics", "export"))
    assert exported["int8_accuracy_lost"] == pytest.approx(metrics["accuracy"] - exported["int8_accuracy"], abs=1e-4)
    text = export.CARD.read_text()
    assert f"{metrics['accuracy']:.3f}" in text and "across, along" in text and once["models/model.onnx"] in text


def test_what_the_quantization_costs():
    by_class = np.array([[0.9, 0.1, 0], [0.2, 0.8, 0], [0.6, 0, 0.4]], dtype=np.float32)
    found = card.int8_measures(THREE, by_class, np.array([0, 1, 2]), {"accuracy": 1.0})
    assert found == {"int8_accuracy": 0.6667, "int8_accuracy_lost": 0.3333}
    sigmoid, metrics = np.array([[0.3], [0.1]], dtype=np.float32), {"accuracy": 0.5, "threshold": 0.2}
    found = card.int8_measures(Classification(("ok", "bad")), sigmoid, np.array([1, 0]), metrics)
    assert found == {"int8_accuracy": 1.0, "int8_accuracy_lost": -0.5}, "the threshold decides here, too"
    found = card.int8_measures(Regression(), np.array([[1.5], [2.0]]), np.array([1.0, 3.0]), {"mae": 0.5})
    assert found == {"int8_mae": 0.75, "int8_mae_added": 0.25}


def test_a_model_that_is_missing_damaged_or_of_another_training_is_said_so(tmp_path):
    file, keras_file = tmp_path / "model.onnx", tmp_path / "model.keras"
    with pytest.raises(UserError, match=r"model\.onnx is missing; `dvc repro` makes it"):
        Model(keras_file)
    file.write_bytes(b"nonsense")
    with pytest.raises(UserError, match="is no model of this project"):
        Model(file)
    file.write_bytes(onnx.build(model(), {"classes": ["a", "b", "c"], "temperature": 1.0, "keras_md5": "0"}))
    assert Model(file).task == THREE
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
