"""The drawn pictures of the two other tasks: the same bytes, and as many shapes as counts.csv says."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from stages import shapes


@pytest.fixture
def drawn(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shapes, "PICTURES", 12)
    shapes.main()
    return tmp_path


def test_both_sets_have_all_pictures_and_the_same_bytes_again(drawn):
    def contents() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in sorted(Path("data").rglob("*")) if path.is_file()}

    first = contents()
    shapes.main()
    assert contents() == first and len(set(first.values())) == 25
    assert [len(list(Path("data/scratches", name).iterdir())) for name in ("ok", "scratched")] == [8, 4]


def test_the_manifest_counts_what_is_on_the_pictures(drawn):
    with open("data/counts/counts.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({row["target"] for row in rows}) > 4
    for row in rows:
        with Image.open(Path("data/counts") / row["path"]) as image:
            pixels = ndimage.gaussian_filter(np.asarray(image, dtype=float), (0.7, 0.7, 0))
        background = np.median(pixels, axis=(0, 1))
        found = ndimage.label(np.abs(pixels - background).mean(axis=2) > 33)
        sizes = ndimage.sum_labels(found[0] > 0, found[0], range(1, found[1] + 1))
        assert np.sum(sizes > 12) == int(row["target"]), row["path"]
