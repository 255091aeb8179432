"""The exported network at work, with ONNX Runtime: no TensorFlow, ready in a fraction of a second."""

import json
from pathlib import Path

import numpy as np
import onnxruntime

from cnn.common import files
from cnn.common.runtime import UserError
from cnn.evaluation import calibration
from cnn.model import labels, occlusion
from cnn.model.labels import ANSWERS, FEATURES, INPUT

BATCH = 100
EXPORTED = ".onnx"
OUTPUTS = {ANSWERS, FEATURES}


class Model:
    """The network of an .onnx file that the export stage wrote.

    classes: the names, in the order of the probabilities; none where it gives numbers, of which 9 of 10 lie within
    `margin` of what it says. size: pixels a side.
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
            self.classes = [str(each) for each in values["classes"]]
            self.temperature = float(values["temperature"]) if self.classes else 1.0
            self.margin = 0.0 if self.classes else float(values["margin"])
            self.threshold = self._calibrated_threshold(values["threshold"]) if "threshold" in values else None
            self.size = int(self._session.get_inputs()[0].shape[1])
            names = {output.name for output in self._session.get_outputs()}
            if names != OUTPUTS:
                raise ValueError(f"its outputs are {', '.join(sorted(names))}, not {', '.join(sorted(OUTPUTS))}")
        except Exception as error:  # ONNX Runtime's own exceptions have no common class
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"{file} is no model of this project ({reason}); `dvc repro` makes one") from None
        if path.suffix == ".keras" and path.is_file() and values["keras_md5"] != files.md5(path):
            raise UserError(f"{file} was made from another {path.name}; `dvc repro` makes it anew")

    def raw(self, images: np.ndarray) -> np.ndarray:
        """What the network says of uint8 (n, size, size, 3), as the Keras model would.

        float32 (n, classes) probabilities, or (n, 1) numbers.
        """
        result = self._run(images, ANSWERS)
        return labels.probabilities(result) if self.classes else result

    def features(self, images: np.ndarray) -> np.ndarray:
        """What the network makes of uint8 (n, size, size, 3) before it decides: float32 (n, units), of length 1."""
        result = self._run(images, FEATURES)
        return result / np.maximum(np.linalg.norm(result, axis=1, keepdims=True), 1e-12)

    def answers(self, images: np.ndarray) -> np.ndarray:
        """float64 (n, classes) calibrated probabilities, or (n, 1) numbers."""
        raw = self.raw(images)
        return calibration.scale(raw, self.temperature) if self.classes else raw.astype(np.float64)

    def heat(self, image: np.ndarray) -> np.ndarray:
        """What the answer for uint8 (size, size, 3) depends on, as occlusion.heat says it."""
        own = self.answers(image[None])
        if self.classes:
            return occlusion.heat(self.answers, image, int(self.named(own)[0]))
        return occlusion.heat(occlusion.closeness(self.answers, own[0], self.margin), image, 0)

    def named(self, probabilities: np.ndarray) -> np.ndarray:
        """The number of the class that is named, for calibrated probabilities (n, classes): int (n,)."""
        return labels.predicted_class(probabilities, self.threshold)

    def _calibrated_threshold(self, threshold: float) -> float:
        """Where the probability `threshold` of the network lies among the calibrated ones."""
        return float(calibration.scale(np.array([[1 - threshold, threshold]]), self.temperature)[0, 1])

    def _run(self, images: np.ndarray, output: str) -> np.ndarray:
        starts = range(0, max(len(images), 1), BATCH)
        return np.concatenate([self._session.run([output], {INPUT: images[at : at + BATCH]})[0] for at in starts])
