"""Where pixels lie in folded pictures, and the files of them."""

import numpy as np
from conftest import DEFAULTS

from cnn.accelerator import layout
from cnn.common import dataset, params
from cnn.common.task import Classification
from cnn.model.build import build

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 22, 22, 3), dtype=np.uint8)


def test_pictures_are_folded_where_the_docstring_says():
    folded = layout.fold(IMAGES, *layout.of_network(size=22, depth=2))  # n, P, R, k, places
    assert folded.shape == (3, 4, 4, 3, 48)  # 6 x 6 places, filled up to whole vectors
    for p, r, i, j in np.random.default_rng(0).integers(0, (4, 4, 6, 6), (50, 4)):
        inside = 4 * i + p < 22 and 4 * j + r < 22
        assert (folded[:, p, r, :, 6 * i + j] == (IMAGES[:, 4 * i + p, 4 * j + r] if inside else 0)).all()
    assert (folded[..., 36:] == 0).all()


def test_a_split_is_folded_for_a_model_once_and_read_from_then_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dataset.FOLDER.mkdir(parents=True)
    pixels = tmp_path / "all.npy"
    np.save(pixels, IMAGES)
    dataset.write(dataset.FOLDER, pixels, {"train": [2, 0]}, np.array([0, 1, 1]))
    model = build(params.check(DEFAULTS | {"image_size": 22, "depth": 2}), Classification(("a", "b")))
    layout.write("train", tmp_path, model)
    folded = layout.read("train", tmp_path)
    assert np.array_equal(folded, layout.fold(IMAGES[[2, 0]], *layout.of_model(model)))
    written = (tmp_path / "train.npy").stat().st_mtime_ns
    layout.write("train", tmp_path, model)
    assert (tmp_path / "train.npy").stat().st_mtime_ns == written
