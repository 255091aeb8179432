"""Pictures that tests make themselves, and folders to run stages in."""

import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import yaml
from joblib.externals.loky import get_reusable_executor
from PIL import Image

# The same examples each time, and no deadline: a busy machine is no mistake of the code.
hypothesis.settings.register_profile("project", derandomize=True, deadline=None)
hypothesis.settings.load_profile("project")

SLOW = ["test_pipeline", "test_interrupted", "test_ladder", "test_stages"]  # first, so that no core waits at the end

ROOT = Path(__file__).resolve().parents[1]
PHOTOGRAPHS = ROOT.parent / "shared/data/flowers-4.zip"  # beside the checkout, where it may be missing
DEFAULTS = yaml.safe_load((ROOT / "params.yaml").read_text())
# One worker: two would be in each other's way, where pytest has one for each core already.
QUICK = {"images": "pictures", "image_size": 32, "epochs": 2, "repeats": 2, "workers": 1}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = {name: place for place, name in enumerate(SLOW)}
    items.sort(key=lambda item: order.get(item.path.stem, len(SLOW)))


def stripes(label: int, number: int, size: tuple[int, int] = (40, 32)) -> Image.Image:
    """A picture whose class is the direction of its stripes: 0 across, 1 along, 2 falling, 3 rising."""
    rng = np.random.default_rng([label, number])
    y, x = np.mgrid[: size[1], : size[0]]
    along = (y, x, x + y, x - y)[label]
    wave = 128 + 90 * np.sin(along * rng.uniform(0.7, 0.9) + rng.uniform(0, 6))
    pixels = wave[..., None] + rng.normal(0, 12, (size[1], size[0], 3)) + rng.uniform(-20, 20, 3)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def scene(seed: int, size: tuple[int, int] = (160, 120)) -> Image.Image:
    """Something like a photograph: large shapes, small ones, and colour."""
    noise = np.random.default_rng(seed)
    layers = [
        np.asarray(
            Image.fromarray(noise.integers(0, 256, (side, side, 3), dtype=np.uint8)).resize(
                size, Image.Resampling.BICUBIC
            ),
            dtype=float,
        )
        for side in (3, 6, 12, 24)
    ]
    return Image.fromarray(np.clip(np.average(layers, axis=0, weights=(4, 3, 2, 1)), 0, 255).astype(np.uint8))


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """The bytes of an image file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def turned_exif() -> Image.Exif:
    """Says that the picture is to be turned by 90 degrees clockwise."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2) + content


def lossless_jpeg(width: int, height: int) -> bytes:
    """A grey JPEG with a lossless frame: every difference to the pixel before is 0, whose code is one bit."""
    frame = b"\x08" + height.to_bytes(2) + width.to_bytes(2) + b"\x03\x01\x11\0\x02\x11\0\x03\x11\0"
    code, scan = b"\0\x01" + bytes(16), b"\x03\x01\0\x02\0\x03\0\x01\0\0"
    segments = segment(0xC4, code) + segment(0xC3, frame) + segment(0xDA, scan)
    return b"\xff\xd8" + segments + bytes(3 * width * height // 8) + b"\xff\xd9"


def write_pictures(folder: Path, classes: tuple[str, ...] = ("across", "along", "falling"), each: int = 20) -> Path:
    """A folder per class with `each` PNG files of stripes."""
    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for number in range(each):
            stripes(label, number).save(folder / name / f"{number:03d}.png")
    return folder


def write_params(folder: Path = Path(), **changes: object) -> None:
    (folder / "params.yaml").write_text(yaml.safe_dump(DEFAULTS | QUICK | changes))


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder as working directory, with params.yaml for a quick run on `pictures`."""
    monkeypatch.chdir(tmp_path)
    # Worker processes outlive a call and would stay in the folder of the test before.
    get_reusable_executor().shutdown()
    write_params()
    return tmp_path


@pytest.fixture
def pictures(work: Path) -> Path:
    return write_pictures(work / "pictures")


BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
EXECUTABLE = next((path for path in map(shutil.which, BROWSERS) if path), None)


@pytest.fixture(scope="session")
def browser() -> Iterator[object]:
    playwright = pytest.importorskip("playwright.sync_api")
    if not EXECUTABLE:
        pytest.skip("no Chromium or Chrome on this machine")
    with playwright.sync_playwright() as driver:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        chromium = driver.chromium.launch(executable_path=EXECUTABLE, args=options)
        yield chromium
        chromium.close()
