"""Machine code for JPEG files: the pixels of libjpeg and Pillow, or none."""

import io
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conftest import encoded, segment, write_params
from fuzz import mutate
from PIL import Image

from stages import preprocess
from stages.lib import array, decode, jpeg
from stages.lib.decode import Unusable

SIZE = 16  # of which 20 pixels are held: 40 is read at 1/2, 80 at 1/4, 160 at 1/8


def noise(width: int, height: int, grain: int = 1) -> Image.Image:
    coarse = np.random.default_rng(width * height).integers(
        0, 256, (-(-height // grain), -(-width // grain), 3), np.uint8
    )
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def outcome(data: bytes, read_jpeg: decode.ReadJpeg | None = None) -> object:
    try:
        pixels, facts = decode.decode(data, SIZE, read_jpeg)
    except Unusable as unusable:
        return unusable.reason
    return pixels.tobytes(), facts


READER = jpeg.Reader(SIZE)


def read(data: bytes) -> bool:
    """Decodes both ways, compares, and says whether machine code gave the picture."""
    gave = []
    assert outcome(data, lambda *given: gave.append(READER.read(*given)) or gave[-1]) == outcome(data)
    return any(pixels is not None for pixels in gave)


# Around the borders of MCUs and scales; tall ones, which Pillow resamples down first; wide ones.
SIDES = [(40, 40), (41, 79), (48, 48), (49, 65), (80, 80), (81, 159), (160, 160), (177, 203), (320, 240)]
SIDES += [(40, 64), (40, 65), (50, 400), (400, 50), (161, 700), (1000, 200)]


@pytest.mark.parametrize("sampling", [0, 2])
@pytest.mark.parametrize(("width", "height"), SIDES)
def test_the_pixels_are_those_of_libjpeg_and_pillow(width, height, sampling):
    for quality in (5, 60, 90, 100):
        for grain in (1, 7):
            options = {"quality": quality, "subsampling": sampling, "optimize": quality == 60}
            assert read(encoded(noise(width, height, grain), "JPEG", **options))


@pytest.mark.parametrize(("width", "height"), [(20, 20), (39, 21), (33, 300), (9, 12), (12, 9), (9, 30), (30, 9)])
def test_a_picture_that_is_not_reduced_is_read_where_colours_have_all_samples(width, height):
    assert read(encoded(noise(width, height), "JPEG", subsampling=0))
    assert not read(encoded(noise(width, height), "JPEG", subsampling=2))


def test_black_and_white_is_bounded_as_there():
    checks = np.indices((90, 90)).sum(axis=0) // 3 % 2 * 255
    for shown in (checks, 255 - checks, np.where(checks[..., None], [255, 0, 255], [0, 255, 0])):
        assert read(encoded(Image.fromarray(shown.astype(np.uint8)).convert("RGB"), "JPEG", quality=30))


def test_pictures_of_several_kinds_follow_each_other():
    """What is kept for a header, a table or a size does not stand in for another one."""
    kinds = [
        (sides, sampling, quality) for sides in ((60, 60), (90, 61)) for sampling in (0, 2) for quality in (40, 90)
    ]
    files = [encoded(noise(*sides), "JPEG", subsampling=s, quality=q, optimize=q == 40) for sides, s, q in kinds]
    for data in random.Random(0).choices(files, k=40):
        assert read(data)


def changed(data: bytes, marker: int, at: int, new: bytes) -> bytes:
    """With `new` in the first segment of that marker, `at` bytes behind its length."""
    start = data.index(bytes([0xFF, marker])) + 4 + at
    return data[:start] + new + data[start + len(new) :]


def scanned(bits: str, size: tuple[int, int] = (40, 40)) -> bytes:
    """A file of that size (4:2:0, with the codes of most files) with other bits for its blocks.

    A first coefficient like the last one is 00; all others are 0: 1010 for brightness, 00 for the colours.
    """
    data = encoded(Image.new("RGB", size), "JPEG")
    start = data.index(b"\xff\xda") + 14
    filled = bits + "1" * (-len(bits) % 8)
    scan = bytes(int(filled[at : at + 8], 2) for at in range(0, len(filled), 8))
    return data[:start] + scan.replace(b"\xff", b"\xff\0") + b"\xff\xd9"


MCU = "001010" * 4 + "0000" * 2
LENGTHS = bytes([0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0])  # of the codes of first coefficients, up to 15


def with_codes(longest: int) -> bytes:
    """PLAIN, and of these codes so many more of 16 bits, which nothing uses."""
    start = PLAIN.index(b"\xff\xc4")
    end = start + 2 + int.from_bytes(PLAIN[start + 2 : start + 4])
    codes = b"\0" + LENGTHS + bytes([longest]) + bytes(range(12)) + b"\0" * longest
    return PLAIN[:start] + segment(0xC4, codes) + PLAIN[end:]


PLAIN = encoded(noise(161, 83), "JPEG", quality=90)
FULL = encoded(noise(161, 83), "JPEG", quality=100)
LEFT = {
    "progressive": encoded(noise(161, 83), "JPEG", progressive=True),
    "restarted": encoded(noise(161, 83), "JPEG", restart_marker_rows=1),
    "4:2:2": encoded(noise(161, 83), "JPEG", subsampling=1),
    "grey": encoded(noise(161, 83).convert("L"), "JPEG"),
    "RGB": encoded(noise(161, 83), "JPEG", keep_rgb=True),
    "with something behind it": PLAIN + b"more",
    "without its end": PLAIN[:-2],
    "cut off": PLAIN[:-200] + PLAIN[-2:],
    "with bytes too many": PLAIN[:-2] + b"\x55" * 3 + PLAIN[-2:],
    "with a marker inside": PLAIN[:-200] + b"\xff\xd3" + PLAIN[-198:],
    "its header alone": PLAIN[: PLAIN.index(b"\xff\xda") + 14],
    "with coefficients too large": changed(changed(FULL, 0xDB, 1, b"\xff" * 64), 0xDB, 0, b"\x00"),
    "with codes that are none": changed(PLAIN, 0xC4, 1, b"\x03"),
    "with codes of other lengths": changed(PLAIN, 0xC4, 1, b"\x00\x00\x00\x08\x00"),
    "with sizes that say more": changed(PLAIN, 0xC4, 17, b"\x20"),
    "with all codes": with_codes(128),
    "with more codes than there are": with_codes(129),
    "with a code that is none": scanned(MCU * 8 + MCU[:-2] + "1" * 16 + "00" + "00"),
    "with restarts that do not come": PLAIN.replace(b"\xff\xda", segment(0xDD, b"\0\x04") + b"\xff\xda", 1),
    "with white beyond white": changed(
        encoded(Image.new("RGB", (200, 170), "white"), "JPEG", quality=100), 0xDB, 1, b"\5" * 64
    ),
    "with all samples twice": encoded(noise(160, 80), "JPEG", subsampling=0).replace(
        b"\1\x11\0\2\x11\1\3\x11\1", b"\1\x21\0\2\x21\1\3\x21\1"
    ),
    "with factors of 16 bits": encoded(noise(39, 21), "JPEG", subsampling=0).replace(
        b"\xff\xda", segment(0xDB, b"".join(bytes([0x10 | n % 2]) + b"\0\3" * 64 for n in range(65))) + b"\xff\xda", 1
    ),
    "with a long header": PLAIN.replace(b"\xff\xda", segment(0xFE, bytes(40_000)) * 2 + b"\xff\xda", 1),
    "of 12 bits": changed(PLAIN, 0xC0, 0, b"\x0c"),
    "with a table that is missing": changed(PLAIN, 0xC0, 8, b"\x03"),
}


@pytest.mark.parametrize("name", LEFT)
def test_what_is_unusual_or_at_fault_is_left_to_the_libraries(name):
    assert not read(LEFT[name])


def test_files_that_are_made_by_hand():
    assert read(scanned(MCU * 9))
    assert read(with_codes(127))
    # Brightness that grows by 2047 from MCU to MCU (111111110, and 11 bits), far beyond what 16 bits hold.
    for side in (3, 6, 12):
        assert not read(scanned(("111111110" + "1" * 11 + MCU[2:]) * side**2, (16 * side, 16 * side)))


def test_a_scan_that_is_short_for_its_picture_is_not_read_beyond():
    assert not read(scanned("0" * 800, (7400, 7400)))
    assert READER._state[0] - READER._begin <= 800 // 8 + 8


def test_a_picture_that_stays_large_is_left_to_the_libraries():
    for sides in ((60_000, 60), (9_000, 9_000), (5_000, 39)):
        assert not read(encoded(Image.new("RGB", sides, "red"), "JPEG", subsampling=0))
    # There is room for it, but not for the row behind it.
    data = encoded(Image.new("RGB", (1024, 1017), "red"), "JPEG", subsampling=0)
    assert jpeg.Reader(1000).read(data, data.index(b"\xff\xda"), "444", 1) is None


def test_threads_can_use_one_reader():
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(read, [encoded(noise(90 + n, 61), "JPEG") for n in range(8)] * 30))


def test_numbers_beyond_what_libjpeg_holds_are_left_to_it():
    """Its vectors have 16 bits, and what has more begins anew."""
    chance, made, whole = random.Random(0), [], []
    for sides in ((40, 40), (61, 83), (33, 300)):
        image = noise(*sides)
        for shown in (image, image.point(lambda value: 255 * (value > 127))):
            whole += [encoded(shown, "JPEG", quality=100, subsampling=sampling) for sampling in (0, 2)]
    for _ in range(4000):
        data, most = chance.choice(whole), chance.choice((8, 16, 32))
        for table in range(2):
            factors = bytes(chance.choice((1, 1, chance.randint(1, most))) for _ in range(64))
            at = [place for place in range(160) if data.startswith(b"\xff\xdb", place)][table] + 5
            data = data[:at] + factors + data[at + 64 :]
        made.append(read(data))
    assert 0 < sum(made) < len(made)


def code_of(symbol: int) -> str:
    """The bits of a code for brightness, but for first coefficients, in most files."""
    start = PLAIN.index(b"\xff\xc4", PLAIN.index(b"\xff\xc4") + 1) + 5
    counts, values, code = PLAIN[start : start + 16], PLAIN[start + 16 :], 0
    for length, count in enumerate(counts, start=1):
        if symbol in values[:count]:
            return f"{code + values.index(symbol):0{length}b}"
        values, code = values[count:], (code + count) * 2
    raise ValueError


def test_large_numbers_that_cancel_each_other_are_left_to_it():
    """Of 2 x 2 samples, 20 times the second frequency and 57 times the fourth come to nothing, in enough bits."""
    block = "00" + code_of(0x05) + f"{20:05b}" + code_of(0x46) + f"{57:06b}" + "1010"
    assert not read(changed(scanned((block * 4 + "0000" * 2) * 25, (80, 80)), 0xDB, 1, b"\xff" * 64))
    assert read(changed(scanned((block * 4 + "0000" * 2) * 25, (80, 80)), 0xDB, 1, b"\1" * 64))


def test_mutated_files_come_to_the_same():
    chance = random.Random(0)
    whole = [encoded(noise(90, 61), "JPEG", subsampling=s, quality=q) for s in (0, 2) for q in (30, 95)]
    for _ in range(400):
        data = mutate(chance.choice(whole), chance)
        assert outcome(data, READER.read) == outcome(data)


@pytest.mark.parametrize("size", [8, 45, 96, 130])
def test_pictures_of_other_sizes(size):
    data = encoded(noise(700, 520), "JPEG", quality=90)
    reader = jpeg.Reader(size)
    scan = data.index(b"\xff\xda")
    for scale in (2, 4, 8):
        with Image.open(io.BytesIO(data)) as image:
            image.draft(None, (700 // scale, 520 // scale))
            assert image.width == -(-700 // scale)
            expected = image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
        np.testing.assert_array_equal(reader.read(data, scan, "420", scale), np.asarray(expected))


def test_many_pictures_give_what_few_give(work: Path, monkeypatch):
    for number in range(60):
        folder = work / "pictures" / ("one", "other")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:02d}.jpg").write_bytes(encoded(noise(160 + number, 131), "JPEG"))
    written, ways = [], []
    monkeypatch.setattr("stages.lib.source.decode", lambda *given: ways.append(given[2]) or decode.decode(*given))
    for most in (preprocess.MANY, 10**5):
        monkeypatch.setattr(preprocess, "MANY", most)
        write_params(workers=1)
        preprocess.main()
        files = [*sorted(array.FOLDER.iterdir()), preprocess.DATA]
        written.append({file.name: file.read_bytes() for file in files})
    assert [way is None for way in ways] == [True] * 60 + [False] * 60
    assert written[0] == written[1]
