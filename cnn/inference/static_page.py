"""The page to drop a photo on as one file that runs the model in the browser itself, without a server or a network.

It carries ONNX Runtime's WebAssembly build (npm's onnxruntime-web), the exported model and some training pictures.
stages/lib/demo_browser.js computes there what inference.Model and decode compute here.
"""

import base64
import gzip
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cnn.common import render
from cnn.common.runtime import UserError
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
    shown: int,
    most: int,
) -> None:
    """Write the page to `path`.

    model_file: as inference.Model takes it; runtime: onnxruntime-web's dist folder; images: training pictures uint8
    (n, size, size, 3), of which the nearest `shown` are shown, with names (file, label); most: bytes of a file that is
    looked at. Raises UserError.
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
        "classes": model.classes,
        "temperature": model.temperature,
        "threshold": model.threshold,
        "margin": model.margin,
        "smallest": calibration.SMALLEST,
        "least": decode.MIN_SIDE,
        "most_pixels": decode.MAX_DECODED,
        "held": math.ceil(decode.HELD * model.size),
        "starts": occlusion.starts(model.size),
        "side": occlusion.side(model.size),
        "colour": occlusion.COLOUR,
        "shown": shown,
        "nearest": [
            {"source": render.picture_source(image), "file": file, "label": label}
            for image, (file, label) in zip(images, names, strict=True)
        ],
    }
    render.write(
        path,
        "inference/assets/demo_static.html.j2",
        classes=model.classes,
        most=most,
        settings=settings,
        packed={key: _packed(content) for key, content in contents.items()},
    )


def _packed(content: bytes) -> str:
    return base64.b64encode(gzip.compress(content, mtime=0)).decode("ascii")
