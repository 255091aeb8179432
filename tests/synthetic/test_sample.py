import hashlib
import json
from pathlib import Path

import pytest
from conftest import write_params
from PIL import Image

from cnn.synthetic import surfaces
from stages import preprocess, sample

CLASSES = ["brick", "fabric", "stone", "wood"]


def md5s(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_same_bytes_whatever_the_number_of_workers(work):
    for folder, workers in (("one", 1), ("two", 2), ("again", 2)):
        assert sample.draw_all(Path(folder), 60, workers) == 240
    assert md5s(Path("one")) == md5s(Path("two")) == md5s(Path("again"))
    assert len(set(md5s(Path("one")).values())) == 240


def test_pictures_are_jpeg_of_many_sizes_and_both_orientations(work):
    sample.draw_all(Path("few"), 12, 1)
    assert sorted(path.name for path in Path("few").iterdir()) == CLASSES
    sizes = set()
    for path in Path("few").rglob("*.jpg"):
        with Image.open(path) as image:
            image.load()
            assert (image.format, image.mode) == ("JPEG", "RGB")
            sizes.add(image.size)
    assert len(sizes) > 40
    assert {width > height for width, height in sizes} == {True, False}


@pytest.mark.parametrize("kind", surfaces.PATTERNS)
def test_a_surface_has_three_maps_of_the_pictures_shape(kind):
    pixels, quality = sample.picture(kind, 0)
    assert pixels.dtype == "uint8"
    assert pixels.std() > 5
    assert 70 <= quality <= 95


def test_colour_alone_does_not_decide(work):
    """The network has to see patterns: nearest neighbours on colour stay at or under 0.45."""
    write_params(images="data/sample", image_size=96)
    sample.main()
    preprocess.main()
    data = json.loads(Path("reports/data.json").read_text())
    assert (data["classes"], data["used"], data["duplicates"]) == (CLASSES, 1600, 0)
    assert 0.25 < data["colour_only_accuracy"] <= 0.45
