"""The exported network at work, with ONNX Runtime: no TensorFlow, ready in a fraction of a second."""

import json
from pathlib import Path

import numpy as np
import onnxruntime

from cnn.common import files
from cnn.common.runtime import UserError
from cnn.common.task import Classification, Regression, Task
from cnn.evaluation import calibration
from cnn.model import labels, occlusion
from cnn.model.labels import ANSWERS, FEATURES, INPUT

BATCH = 100
EXPORTED = ".onnx"
OUTPUTS = {ANSWERS, FEATURES}


class Model:
    """The network of an .onnx file that the export stage wrote.

    task: Classification, or a Regression without the mean and deviation, which the file does not have. threshold: of
    two classes, among calibrated probabilities, or None. margin: 9 of 10 numbers lie within it of the predicted one.
    size: pixels a side.
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
            metadata = {key: json.loads(value) for key, value in properties.items()}
            classes = tuple(str(each) for each in metadata["classes"])
            self.task: Task = Classification(classes) if classes else Regression()
            self.temperature = float(metadata["temperature"]) if classes else 1.0
            self.margin = 0.0 if classes else float(metadata["margin"])
            self.threshold = self._calibrated_threshold(metadata["threshold"]) if "threshold" in metadata else None
            self.size = int(self._session.get_inputs()[0].shape[1])
            names = {output.name for output in self._session.get_outputs()}
            if names != OUTPUTS:
                raise ValueError(f"its outputs are {', '.join(sorted(names))}, not {', '.join(sorted(OUTPUTS))}")
        except Exception as error:  # ONNX Runtime's own exceptions have no common class
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"{file} is no model of this project ({reason}); `dvc repro` makes one") from None
        if path.suffix == ".keras" and path.is_file() and metadata["keras_md5"] != files.md5(path):
            raise UserError(f"{file} was made from another {path.name}; `dvc repro` makes it anew")

    def predict(self, images: np.ndarray) -> np.ndarray:
        """For uint8 (n, size, size, 3): float64 (n, classes) calibrated probabilities, or (n, 1) numbers."""
        outputs = self.predict_uncalibrated(images)
        if isinstance(self.task, Classification):
            return calibration.scale(outputs, self.temperature)
        return outputs.astype(np.float64)

    def predict_uncalibrated(self, images: np.ndarray) -> np.ndarray:
        """As the Keras model: float32 (n, classes) probabilities, or (n, 1) numbers."""
        outputs = self._run(images, ANSWERS)
        return labels.probabilities(outputs) if isinstance(self.task, Classification) else outputs

    def predicted_class(self, probabilities: np.ndarray) -> np.ndarray:
        """The number of the class for each of calibrated probabilities (n, classes): int (n,)."""
        return labels.predicted_class(probabilities, self.threshold)

    def features(self, images: np.ndarray) -> np.ndarray:
        """The input of the last layer for uint8 (n, size, size, 3): float32 (n, units), each of length 1."""
        features = self._run(images, FEATURES)
        return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)

    def heat(self, image: np.ndarray) -> np.ndarray:
        """What the prediction for uint8 (size, size, 3) depends on, as occlusion.heat gives it."""
        own = self.predict(image[None])
        if isinstance(self.task, Classification):
            return occlusion.heat(self.predict, image, int(self.predicted_class(own)[0]))
        return occlusion.heat(occlusion.closeness(self.predict, own[0], self.margin), image, 0)

    def _calibrated_threshold(self, threshold: float) -> float:
        """Where the probability `threshold` of the network lies among the calibrated ones."""
        return float(calibration.scale(np.array([[1 - threshold, threshold]]), self.temperature)[0, 1])

    def _run(self, images: np.ndarray, output: str) -> np.ndarray:
        starts = range(0, max(len(images), 1), BATCH)
        return np.concatenate([self._session.run([output], {INPUT: images[at : at + BATCH]})[0] for at in starts])
