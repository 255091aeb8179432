"""The page to drop a photo on as one file that runs the model in the browser itself, without a server or a network.

It carries ONNX Runtime's WebAssembly build (npm's onnxruntime-web), the exported model and some training pictures.
assets/demo_browser.js computes there what Model and decode compute here.
"""

import base64
import gzip
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cnn.common import render
from cnn.common.runtime import UserError
from cnn.common.task import Classification
from cnn.data import decode
from cnn.evaluation import calibration
from cnn.inference.model import EXPORTED, Model
from cnn.model import occlusion

RUNTIME = "ort.wasm.bundle.min.mjs"
WASM = "ort-wasm-simd-threaded.wasm"


def write(
    path: Path,
    model_file: Path,
    runtime: Path,
    images: np.ndarray,
    names: Sequence[tuple[str, str]],
    nearest: int,
    max_bytes: int,
) -> None:
    """Write the page to `path`.

    model_file: as Model takes it; runtime: onnxruntime-web's dist folder; images: training pictures uint8
    (n, size, size, 3), with names (file, label), of which the page shows the `nearest` ones; max_bytes: of a file that
    the page reads. Raises UserError.
    """
    model = Model(model_file)
    contents = {"model": model_file.with_suffix(EXPORTED).read_bytes()}
    for key, name in (("runtime", RUNTIME), ("wasm", WASM)):
        if not (runtime / name).is_file():
            raise UserError(f"{runtime / name} is missing; `make demo-page` installs it with npm")
        contents[key] = (runtime / name).read_bytes()
    contents["features"] = model.features(images).astype("<f4").tobytes()
    settings = {
        "size": model.size,
        "classes": model.task.classes if isinstance(model.task, Classification) else None,
        "temperature": model.temperature,
        "threshold": model.threshold,
        "margin": model.margin,
        "min_probability": calibration.SMALLEST,
        "min_side": decode.MIN_SIDE,
        "max_pixels": decode.MAX_DECODED,
        "min_decoded_side": decode.min_decoded_side(model.size),
        "patch_starts": occlusion.starts(model.size),
        "patch_side": occlusion.side(model.size),
        "colour": occlusion.COLOUR,
        "nearest": nearest,
        "training_pictures": [
            {"source": render.picture_source(image), "file": file, "label": label}
            for image, (file, label) in zip(images, names, strict=True)
        ],
    }
    render.write(
        path,
        "inference/assets/demo_static.html.j2",
        task=model.task,
        max_bytes=max_bytes,
        settings=settings,
        embedded={key: _encoded(content) for key, content in contents.items()},
    )


def _encoded(content: bytes) -> str:
    """As base64 of gzip."""
    return base64.b64encode(gzip.compress(content, mtime=0)).decode("ascii")
