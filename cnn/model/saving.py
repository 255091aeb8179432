"""How a network is saved, with the same bytes each time."""

import io
import json
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cnn.common import files
from cnn.model.backend import keras

ARCHITECTURE = Path("models/architecture.json")
INITIAL = Path("models/initial")  # repeat-N.weights.h5: the weights that repeat N begins with
MODEL = Path("models/model.keras")


def architecture(model: keras.Model) -> str:
    """The architecture as JSON: the same text for the same network."""
    return json.dumps(json.loads(model.to_json()), indent=2) + "\n"


def read_architecture(architecture_file: Path, weights: Sequence[np.ndarray] = ()) -> keras.Model:
    """The uncompiled network of `architecture_file`, with the first of `weights`; without any they are random."""
    model = keras.models.model_from_json(architecture_file.read_text(encoding="utf-8"))
    if weights:
        model.set_weights(weights[: len(model.weights)])
    return model


def summary(model: keras.Model) -> str:
    """Layers, output shapes and parameters as a plain-text table."""
    rows = [("layer", "kind", "output", "parameters")]
    for layer in model.layers:
        shape = " x ".join(str(side) for side in layer.output.shape[1:])
        rows.append((layer.name, type(layer).__name__, shape, f"{layer.count_params():,}"))
    rows.append(("total", "", "", f"{model.count_params():,}"))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = ["  ".join([*map(str.ljust, row[:3], widths), row[3].rjust(10)]) for row in rows]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:-1], "-" * len(lines[0]), lines[-1]]) + "\n"


def save(model: keras.Model, path: Path) -> None:
    """Save `model` as .keras with bytes that depend on its architecture and weights alone.

    Keras writes the date and the zip entries' times into the file, and numbers shared objects by
    their address; here the dates are fixed and the numbers counted. keras.models.load_model reads it.
    """
    entries = _entries(model)
    metadata = json.loads(entries["metadata.json"])
    metadata["date_saved"] = "1980-01-01@00:00:00"
    entries["metadata.json"] = json.dumps(metadata, sort_keys=True).encode()
    config = json.loads(entries["config.json"])
    _number_shared_objects(config, {})
    entries["config.json"] = json.dumps(config, sort_keys=True).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in sorted(entries):
            archive.writestr(zipfile.ZipInfo(name), entries[name])  # its date is 1980-01-01
    files.write_bytes(path, buffer.getvalue())


def save_weights(model: keras.Model, path: Path) -> None:
    """Save the weights of `model` as .weights.h5.

    Keras's own save_weights writes through HDF5, which ends the process (SIGSEGV) when the disk is full.
    """
    files.write_bytes(path, _entries(model)["model.weights.h5"])


def _entries(model: keras.Model) -> dict[str, bytes]:
    """The files inside the .keras archive of `model`."""
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "model.keras"
        model.save(plain)
        with zipfile.ZipFile(plain) as archive:
            return {name: archive.read(name) for name in archive.namelist()}


def load(path: Path) -> keras.Model:
    """The model in the .keras file, which may not carry code (safe mode)."""
    return keras.models.load_model(path, safe_mode=True)


def _number_shared_objects(value: object, numbers: dict[int, int]) -> None:
    if isinstance(value, dict):
        if "shared_object_id" in value:
            value["shared_object_id"] = numbers.setdefault(value["shared_object_id"], len(numbers))
        for each in value.values():
            _number_shared_objects(each, numbers)
    elif isinstance(value, list):
        for each in value:
            _number_shared_objects(each, numbers)
