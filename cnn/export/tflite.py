"""The plain network as LiteRT (.tflite) files: in float32, and quantized to 8 bits for phones and boards."""

import contextlib
import io
import json
from collections.abc import Iterator

import numpy as np

from cnn.model.backend import keras
from cnn.model.backend import tensorflow as tf

# isort: split
# The backend has imported TensorFlow quietly; before it, these two would let it greet on stderr.
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

METADATA = "classifier"  # the name of the metadata in the file; its bytes are JSON


def convert(model: keras.Model, metadata: dict[str, object]) -> bytes:
    """The file of `model` in float32: input float32 (1, size, size, 3) of 0 to 255, output (1, outputs)."""
    return _converted(tf.lite.TFLiteConverter.from_keras_model(model), metadata)


def quantize(model: keras.Model, images: np.ndarray, metadata: dict[str, object]) -> bytes:
    """The file of `model` in int8, input and output uint8. images: uint8 (n, size, size, 3), to find the ranges.

    An operator that does not run in int8 (softsign's division) leaves only the weights in int8, input and output
    in float32.
    """

    def examples() -> Iterator[list[np.ndarray]]:
        for image in images:
            example = image[None].astype(np.float32)
            # The range of the input comes from the examples, too: this one makes a pixel's byte its quantized value.
            example[0, 0, 0] = 0
            example[0, 0, 1] = 255
            yield [example]

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = examples
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.uint8
    file = _converted(converter, metadata)
    try:
        predict(file, images[:1])
    except RuntimeError:
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        file = _converted(converter, metadata)
    return file


def predict(file: bytes, images: np.ndarray) -> np.ndarray:
    """What a converted network gives for uint8 (n, size, size, 3): float32 (n, outputs)."""
    interpreter = tf.lite.Interpreter(model_content=file)
    interpreter.allocate_tensors()
    (input_,), (output,) = interpreter.get_input_details(), interpreter.get_output_details()
    scale, zero_point = output["quantization"]
    results = []
    for image in images:
        interpreter.set_tensor(input_["index"], image[None].astype(input_["dtype"]))
        interpreter.invoke()
        result = interpreter.get_tensor(output["index"])[0].astype(np.float32)
        results.append((result - zero_point) * scale if scale else result)
    return np.array(results, dtype=np.float32)


def _converted(converter: tf.lite.TFLiteConverter, metadata: dict[str, object]) -> bytes:
    """The converter's file, with `metadata` as JSON in a buffer of its own."""
    with contextlib.redirect_stdout(io.StringIO()):  # it prints every tensor's address
        file = converter.convert()
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(file))
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = list(json.dumps(metadata, ensure_ascii=False).encode())
    entry.name, entry.buffer = METADATA, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))
