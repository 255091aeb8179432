"""Feed mutated pictures and archives to what reads them: each is used or rejected with a reason.

    make fuzz                      20,000 files from a random seed, about a minute
    python tests/fuzz.py 2000 7    2,000 files from seed 7

JPEG, PNG and ZIP files (and some of the other formats) are made here, then bytes of them are changed,
removed, doubled or moved. Exit code 1 when one raises anything but the errors meant for it, takes more
than 10 s, or when memory goes over 1 GiB; the file is then kept as fuzz-failure-N.
"""

import argparse
import io
import random
import re
import resource
import sys
import tempfile
import time
import zipfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from conftest import encoded, lossless_jpeg, turned_exif
from PIL import Image

from cnn.common.runtime import UserError
from cnn.data import source
from cnn.data.decode import Unusable, decode

MEMORY = 2**30  # bytes of resident memory
SLOWEST = 10.0  # seconds for one file
SIZE = 40  # of a picture, for which the JPEG files here are decoded at half their size


def seeds() -> dict[str, list[bytes]]:
    """Whole files to begin with, by kind."""
    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize((160, 120), Image.Resampling.BICUBIC)

    jpeg = [
        encoded(image, "JPEG", quality=80, exif=turned_exif()),
        encoded(image, "JPEG", progressive=True),
        encoded(image.convert("CMYK"), "JPEG"),
        encoded(image.convert("L"), "JPEG", restart_marker_blocks=4),
        encoded(image, "JPEG", subsampling=0),
        lossless_jpeg(160, 120),
    ]
    png = [
        encoded(image, "PNG"),
        encoded(image.quantize(64), "PNG", transparency=3),
        encoded(image.convert("RGBA"), "PNG"),
        encoded(Image.fromarray(noise[..., 0].astype(np.uint16) * 257), "PNG"),
    ]
    others = [
        encoded(image, "GIF", save_all=True, append_images=[image.rotate(90)]),
        *(encoded(image, kind) for kind in ("WEBP", "BMP", "TIFF", "TGA", "PPM", "JPEG2000", "ICO", "PCX", "SGI")),
    ]
    return {"JPEG": jpeg, "PNG": png, "other": others, "ZIP": [_zip(jpeg + png), _zip(png, zipfile.ZIP_STORED)]}


def _zip(pictures: list[bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for number, data in enumerate(pictures):
            archive.writestr(f"class {number % 2}/{number}.png", data)
    return buffer.getvalue()


def mutate(data: bytes, chance: random.Random) -> bytes:
    """`data` with one to eight mistakes."""
    result = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4, 8))):
        # Headers and directories are where the numbers are that a reader trusts.
        where = chance.choice((chance.randrange(64), chance.randrange(len(result) + 1), len(result) - 64))
        at = min(max(where, 0), max(len(result) - 1, 0))
        run = chance.choice((1, 2, 4, 16, 200))
        match chance.randrange(7):
            case 0:
                result[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                result[at : at + run] = chance.randbytes(run)
            case 2:
                result[at : at + run] = chance.choice((b"\xff", b"\0", b"\x7f")) * run
            case 3:
                del result[at : at + run]
            case 4:
                result[at:at] = result[at : at + run]
            case 5:
                del result[at:]
            case 6:
                other = chance.randrange(len(result) + 1)
                result[at : at + run] = result[other : other + run]
        result = result or bytearray(b"\0")
    return bytes(result)


def feed(kind: str, data: bytes, path: Path) -> str:
    """What became of the file: used, rejected or refused. Raises whatever is not meant to happen."""
    if kind != "ZIP":
        return _decode(data)
    path.write_bytes(data)
    try:
        found = source.find(str(path))
    except UserError as error:
        assert str(error), "a refusal without words"
        return "refused"
    outcomes = set()
    for picture in found.pictures:
        try:
            outcomes.add(_decode(found.container.read(picture.entry)))
        except OSError as error:
            assert str(error), "an error without words"
            outcomes.add("rejected")
    return "rejected" if "rejected" in outcomes else "used"


def _decode(data: bytes) -> str:
    try:
        image, _ = decode(data, SIZE)
    except Unusable as error:
        assert error.reason, "a rejection without a reason"
        assert error.advice, "a rejection without advice"
        return "rejected"
    assert image.shape == (SIZE, SIZE, 3), image.shape
    assert image.dtype == np.uint8, image.dtype
    return "used"


def peak_memory() -> int:
    """The most resident memory of this process so far, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux, where getrusage begins with the memory of the process that started this one
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) * 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def main(count: int, seed: int) -> int:
    chance = random.Random(seed)
    whole = seeds()
    outcomes: Counter[tuple[str, str]] = Counter()
    slowest = 0.0
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            # ZIP holds eight pictures: one in ten is enough to make it as many as the rest.
            kind = chance.choices(("JPEG", "PNG", "other", "ZIP"), (4, 3, 2, 1))[0]
            data = mutate(chance.choice(whole[kind]), chance)
            begun = time.perf_counter()
            try:
                outcomes[kind, feed(kind, data, Path(folder) / f"{number}.zip")] += 1
                seconds = time.perf_counter() - begun
                assert seconds < SLOWEST, f"took {seconds:.1f} s"
                slowest = max(slowest, seconds)
            except Exception as error:
                failures += 1
                Path(f"fuzz-failure-{number}").write_bytes(data)
                print(f"file {number} of seed {seed} ({kind}): {type(error).__name__}: {error}", file=sys.stderr)
    for (kind, outcome), files in sorted(outcomes.items()):
        print(f"{kind:5} {outcome:8} {files:6}")
    memory = peak_memory()
    print(f"{count} files of seed {seed}: {failures} failures, slowest {slowest:.2f} s, {memory / 2**20:.0f} MiB")
    return int(failures > 0 or memory > MEMORY)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int, nargs="?", default=20_000)
    parser.add_argument("seed", type=int, nargs="?", default=random.randrange(2**32))
    options = parser.parse_args()
    sys.exit(main(options.count, options.seed))
