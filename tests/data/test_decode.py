import io
import zipfile

import numpy as np
import pytest
from conftest import PHOTOGRAPHS, encoded, lossless_jpeg, turned_exif
from PIL import Image, ImageOps

from cnn.data.decode import MIN_SIDE, Unusable, decode


def grey(value: int) -> np.ndarray:
    return np.full((96, 96, 3), value, dtype=np.uint8)


def flat(mode: str, colour: object, kind: str, **options: object) -> bytes:
    return encoded(Image.new(mode, (96, 96), colour), kind, **options)


sixteen = Image.fromarray(np.full((96, 96), 128 * 257, dtype=np.uint16))
FLAT = {
    "RGB PNG": (flat("RGB", (128, 128, 128), "PNG"), 128),
    "grey PNG": (flat("L", 128, "PNG"), 128),
    "1-bit PNG": (flat("1", 1, "PNG"), 255),
    "palette PNG": (flat("L", 128, "PNG"), 128),
    "palette GIF": (encoded(Image.new("RGB", (96, 96), (128, 128, 128)).quantize(), "GIF"), 128),
    "16-bit PNG": (encoded(sixteen, "PNG"), 128),
    "16-bit TIFF": (encoded(sixteen, "TIFF"), 128),
    "32-bit TIFF": (encoded(Image.fromarray(np.full((96, 96), 128 * 257, np.int32)), "TIFF"), 255),
    "float TIFF": (encoded(Image.fromarray(np.full((96, 96), 0.5, np.float32)), "TIFF"), 128),
    "clear PNG": (flat("RGBA", (0, 0, 0, 0), "PNG"), 255),
    "half clear PNG": (flat("RGBA", (0, 0, 0, 127), "PNG"), 128),
    "clear grey PNG": (flat("LA", (0, 0), "PNG"), 255),
    "clear palette PNG": (encoded(Image.new("P", (96, 96), 0), "PNG", transparency=0), 255),
    "transparent colour PNG": (encoded(Image.new("RGB", (96, 96)), "PNG", transparency=(0, 0, 0)), 255),
    "grey JPEG": (flat("L", 128, "JPEG"), 128),
    "CMYK JPEG": (flat("CMYK", (0, 0, 0, 127), "JPEG"), 128),
    "CMYK TIFF": (flat("CMYK", (0, 0, 0, 127), "TIFF"), 128),
    "BMP": (flat("RGB", (128, 128, 128), "BMP"), 128),
    "WebP": (flat("RGB", (128, 128, 128), "WEBP", lossless=True), 128),
    "clear WebP": (flat("RGBA", (0, 0, 0, 0), "WEBP", lossless=True), 255),
    "LAB TIFF": (flat("LAB", (137, 128, 128), "TIFF"), 128),
}


@pytest.mark.parametrize("name", FLAT)
def test_every_mode_becomes_rgb_of_8_bits(name):
    data, value = FLAT[name]
    pixels, facts = decode(data, 96)
    assert pixels.dtype == np.uint8
    assert pixels.shape == (96, 96, 3)
    # 32-bit integers have no scale of their own: the largest value is white, and 65535 holds these.
    expected = 128 if name == "32-bit TIFF" else value
    assert np.abs(pixels.astype(int) - grey(expected)).max() <= 2
    assert (facts["width"], facts["height"]) == (96, 96)


def test_the_first_frame_of_an_animation_is_used():
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    for kind in ("GIF", "WEBP", "PNG"):
        options = {"lossless": True} if kind == "WEBP" else {}
        pixels, _ = decode(encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options), 8)
        assert pixels[4, 4].tolist() == [255, 0, 0], kind


def test_exif_rotation_is_applied():
    image = Image.new("RGB", (40, 20), "black")
    image.paste("white", (0, 0, 20, 20))  # left half white
    pixels, _ = decode(encoded(image, "JPEG", exif=turned_exif(), quality=95), 16)  # left becomes top
    assert pixels[2, 8].min() > 240
    assert pixels[13, 8].max() < 15


def test_the_picture_is_resized_as_a_whole_and_antialiased():
    checks = np.indices((200, 300)).sum(axis=0) % 2 * 255  # finer than the target can show: becomes grey
    pixels, _ = decode(encoded(Image.fromarray(checks.astype(np.uint8)), "PNG"), 32)
    assert np.abs(pixels.astype(int) - 128).max() < 12


@pytest.mark.parametrize(("width", "height"), [(320, 240), (384, 512), (1200, 900)])
def test_decoding_at_a_reduced_scale_stays_near_full_decoding(width, height):
    y, x = np.mgrid[:height, :width]
    rng = np.random.default_rng(0)
    smooth = 128 + 60 * np.sin(x / 37) + 50 * np.cos(y / 23) + rng.normal(0, 15, x.shape)
    data = encoded(Image.fromarray(np.clip(smooth, 0, 255).astype(np.uint8)), "JPEG", quality=90)
    full = Image.open(io.BytesIO(data)).convert("RGB").resize((96, 96), Image.Resampling.BILINEAR)
    assert np.abs(decode(data, 96)[0].astype(float) - np.asarray(full)).mean() < 1.5


def noise(width: int, height: int, mode: str = "RGB") -> Image.Image:
    shape = (height, width) if mode == "L" else (height, width, 3)
    return Image.fromarray(np.random.default_rng(width * height).integers(0, 256, shape, dtype=np.uint8))


def tall_pixels(data: bytes) -> bytes:
    """The file with 1 x 4 as the sampling factors of its first component."""
    at = data.index(b"\xff\xc0") + 11
    return data[:at] + b"\x14" + data[at + 1 :]


XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r tiff:Orientation="6"/></x:xmpmeta>'
# Around the borders of the scales for 16 pixels, for which a JPEG is decoded to at least 20.
SIDES = [(20, 20), (39, 200), (40, 41), (79, 80), (80, 81), (159, 400), (161, 163), (7, 300), (320, 240)]
JPEGS = {f"{width} x {height}": encoded(noise(width, height), "JPEG") for width, height in SIDES} | {
    f"{name} JPEG": encoded(noise(161, 83), "JPEG", **options)
    for name, options in {
        "4:4:4": {"subsampling": 0, "quality": 95},
        "4:2:2": {"subsampling": 1},
        "progressive": {"progressive": True},
        "RGB": {"keep_rgb": True},
        "restarted": {"restart_marker_rows": 1},
        "commented": {"comment": b"a comment"},
        "turned": {"exif": turned_exif()},
        "turned by XMP": {"xmp": XMP},
        "poor": {"quality": 3},
    }.items()
}
JPEGS |= {
    "grey": encoded(noise(161, 83, "L"), "JPEG"),
    "CMYK": encoded(noise(161, 83).convert("CMYK"), "JPEG"),
    "two in one": encoded(noise(161, 83), "MPO", save_all=True, append_images=[noise(20, 20)]),
    "with something behind it": encoded(noise(161, 83), "JPEG") + b"more" * 100,
    "lossless": lossless_jpeg(640, 480),
    "lossless behind a marker without length": lossless_jpeg(640, 480).replace(b"\xff\xc3", b"\xff\x01\xff\xc3"),
    "with tall pixels": tall_pixels(encoded(noise(161, 83), "JPEG")),
    "filled up between segments": encoded(noise(161, 83), "JPEG").replace(b"\xff\xdb", b"\xff\xff\xdb"),
    "its header alone": encoded(noise(161, 83), "JPEG")[:100],
    "a segment without a marker": encoded(noise(161, 83), "JPEG").replace(b"\xff\xdb", b"\x00\xdb", 1),
    "without its end": encoded(noise(161, 83), "JPEG")[:-2],
    "cut off": encoded(noise(161, 83), "JPEG")[:-200],
    "disturbed": encoded(noise(161, 83), "JPEG").replace(b"\xff\xda", b"\xff\xda\x00", 1),
}


REJECTED = {
    *("its header alone", "a segment without a marker", "without its end", "cut off", "disturbed"),
    *("lossless", "lossless behind a marker without length"),  # libjpeg-turbo as Pillow has it reads none
}


@pytest.mark.parametrize("name", JPEGS)
def test_a_jpeg_of_any_kind_is_decoded_whole_or_rejected(name):
    if name in REJECTED:
        with pytest.raises(Unusable):
            decode(JPEGS[name], 16)
        return
    pixels, facts = decode(JPEGS[name], 16)
    with Image.open(io.BytesIO(JPEGS[name])) as image:
        assert (facts["width"], facts["height"], facts["mode"]) == (*image.size, image.mode)
        full = ImageOps.exif_transpose(image.convert("RGB")).resize((16, 16), Image.Resampling.BILINEAR)
    # Noise is the worst case for a reduced scale: it keeps more of it than a filter would.
    assert np.abs(pixels.astype(float) - np.asarray(full)).mean() < 24
    assert np.corrcoef(pixels.ravel(), np.asarray(full).ravel())[0, 1] > 0.5 or name == "CMYK"


def test_xmp_turns_a_picture():
    assert decode(encoded(noise(40, 20), "JPEG", xmp=XMP), 8)[0].tobytes() == (
        decode(encoded(noise(40, 20), "JPEG", exif=turned_exif()), 8)[0].tobytes()
    )


@pytest.mark.skipif(not PHOTOGRAPHS.exists(), reason="no photographs here")
def test_photographs_stay_near_full_decoding():
    with zipfile.ZipFile(PHOTOGRAPHS) as archive:
        originals = [archive.read(name) for name in sorted(archive.namelist()) if name.endswith(".jpg")][::8]
    differences = []
    for data in originals:
        full = Image.open(io.BytesIO(data)).convert("RGB").resize((96, 96), Image.Resampling.BILINEAR)
        differences.append(np.abs(decode(data, 96)[0].astype(float) - np.asarray(full)).mean())
    assert np.mean(differences) < 1.5


JPEG = encoded(Image.effect_noise((64, 64), 50), "JPEG")
BAD = {
    "nothing": (b"", "empty file"),
    "text": (b"hello, I am no picture", "not a picture"),
    "half a JPEG": (JPEG[: len(JPEG) // 2], "damaged"),
    "half a PNG": (encoded(Image.effect_noise((64, 64), 50), "PNG")[:900], "damaged"),
    "1 x 1": (encoded(Image.new("RGB", (1, 1)), "PNG"), "1 x 1 pixels"),
    "20000 x 1": (encoded(Image.new("RGB", (20000, 1)), "PNG"), "20000 x 1 pixels"),
    "a bomb": (encoded(Image.new("1", (12000, 12000)), "PNG"), "12000 x 12000 pixels"),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_used_has_a_reason_and_advice(name):
    data, reason = BAD[name]
    with pytest.raises(Unusable) as error:
        decode(data, 96)
    assert reason in error.value.reason
    assert error.value.advice


def test_the_smallest_usable_picture_is_used():
    assert decode(encoded(Image.new("RGB", (MIN_SIDE, MIN_SIDE)), "PNG"), 8)[0].shape == (8, 8, 3)
