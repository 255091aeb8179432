"""The exported network at work, with ONNX Runtime: no TensorFlow, ready in a fraction of a second."""

import json
from pathlib import Path

import numpy as np
import onnxruntime

from stages.lib import calibration, outputs
from stages.lib.runtime import UserError

BATCH = 100
EXPORTED = ".onnx"


class Classifier:
    """The network of an .onnx file that the export stage wrote.

    classes: the names, in the order of the probabilities; size: pixels a side.
    """

    def __init__(self, path: Path):
        """path: the .onnx file, or the .keras file beside it. Raises UserError."""
        file = path.with_suffix(EXPORTED)
        if not file.is_file():
            raise UserError(f"{file} is missing; `dvc repro` makes it")
        try:
            onnxruntime.set_default_logger_severity(4)
            self._session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
            properties = self._session.get_modelmeta().custom_metadata_map
            values = {key: json.loads(value) for key, value in properties.items()}
            self.classes, self.temperature = [str(each) for each in values["classes"]], float(values["temperature"])
            self.size = int(self._session.get_inputs()[0].shape[1])
        except Exception as error:  # ONNX Runtime's own exceptions have no common class
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"{file} is no model of this project ({reason}); `dvc repro` makes one") from None
        if path.suffix == ".keras" and path.is_file() and values["keras_md5"] != outputs.md5(path):
            raise UserError(f"{file} was made from another {path.name}; `dvc repro` makes it anew")

    def raw(self, images: np.ndarray) -> np.ndarray:
        """What the network says of uint8 (n, size, size, 3): float32 (n, classes), as the Keras model would."""
        result = self._run(images, "probabilities")
        return np.hstack([1 - result, result]) if result.shape[1] == 1 else result

    def features(self, images: np.ndarray) -> np.ndarray:
        """What the network makes of uint8 (n, size, size, 3) before it decides: float32 (n, units), of length 1."""
        result = self._run(images, "features")
        return result / np.maximum(np.linalg.norm(result, axis=1, keepdims=True), 1e-12)

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Calibrated: float64 (n, classes)."""
        return calibration.scale(self.raw(images), self.temperature)

    def _run(self, images: np.ndarray, output: str) -> np.ndarray:
        starts = range(0, max(len(images), 1), BATCH)
        return np.concatenate([self._session.run([output], {"pixels": images[at : at + BATCH]})[0] for at in starts])
