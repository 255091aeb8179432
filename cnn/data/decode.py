"""From the bytes of an image file to RGB pixels of the network's size.

Every mode Pillow reads becomes RGB: EXIF rotation applied, transparency over white, 16 bits scaled
to 8, the first frame of an animation. A picture that cannot be used raises Unusable with a reason.
"""

import io
import math
import struct
import warnings

import numpy as np
import simplejpeg
from PIL import Image, ImageCms, ImageFile, ImageOps, UnidentifiedImageError

# Formats read by code in this process; Pillow's EPS reader, for one, starts Ghostscript.
Image.init()
ALLOWED = (
    *("AVIF", "BMP", "DDS", "DIB", "GIF", "ICO", "JPEG", "JPEG2000", "MPO", "PCX", "PNG", "PPM", "QOI", "SGI"),
    *("TGA", "TIFF", "WEBP"),
)
FORMATS = [name for name in ALLOWED if name in Image.OPEN]  # a build of Pillow may lack some
# Of 96: a 320x240 JPEG is decoded at 160x120. Mean absolute difference to full decoding and the same filter
# on 200 photographs of 175 sizes: 1.1 of 255; at 1.0 it is 1.7, at 2.0 nothing is gained on such sizes.
HELD = 1.25
# The segments before the picture of a JPEG that simplejpeg reads as Pillow does. Not among them are APP1, which can say
# that the picture is to be turned, and lossless frames: libjpeg does not scale those, whatever size was asked for, and
# simplejpeg makes room for that size alone.
PLAIN = {0xC0, 0xC2, 0xC4, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0)} - {0xE1}
SCAN = 0xDA  # the marker of the last segment before it
SEGMENT = struct.Struct(">BBH")  # 255, marker, length from there on
PLAIN_PIXELS = 4 * 10**6  # of a decoded picture; of a larger one Pillow needs less memory
MODES = {"Gray": "L", "YCbCr": "RGB", "RGB": "RGB"}  # Pillow's names
MIN_SIDE = 4  # below it there is nothing to see
MAX_BYTES = 256 * 2**20  # of a file; 128 million pixels of 16 bits are smaller
MAX_PIXELS = 128 * 10**6  # as stored; a progressive JPEG of this size takes about 400 MB to decode
MAX_DECODED = 64 * 10**6  # after JPEG's own reduction; RGBA of this size takes 256 MB

Image.MAX_IMAGE_PIXELS = None  # the bounds above are checked instead, before any pixel is decoded
ImageFile.LOAD_TRUNCATED_IMAGES = False


class Unusable(Exception):
    """A picture that cannot be used. args: the reason, and what its owner can do."""

    def __init__(self, reason: str, advice: str):
        super().__init__(reason, advice)
        self.reason = reason
        self.advice = advice


def decode(data: bytes, size: int) -> tuple[np.ndarray, dict[str, object]]:
    """The picture in `data` as uint8 (size, size, 3) RGB, and facts: width, height, mode, format.

    The picture is resized as a whole, not cropped, by Pillow's antialiased bilinear filter; a JPEG is
    first decoded at the smallest of its DCT scales (1/2, 1/4, 1/8) that still holds HELD times `size`.
    Raises Unusable.
    """
    if not data:
        raise Unusable("empty file", "copy it again or remove it")
    plain = _plain_jpeg(data, size)
    if plain:
        return plain
    try:
        # Pillow warns about odd metadata (EXIF, palettes); the pixels are what counts here.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                return _read(image, size)
    except UnidentifiedImageError:
        raise Unusable("not a picture", "remove it, or save it as JPEG or PNG") from None
    except (OSError, SyntaxError, ValueError, TypeError, EOFError, IndexError, KeyError, struct.error) as error:
        raise Unusable(f"damaged: {error}", "open it in a viewer; if it shows, save it again") from None
    except (MemoryError, OverflowError, RuntimeError, AttributeError, ZeroDivisionError, AssertionError) as error:
        raise Unusable(f"damaged: {type(error).__name__} {error}", "remove it, or save it again") from None


def _plain_jpeg(data: bytes, size: int) -> tuple[np.ndarray, dict[str, object]] | None:
    """What `_read` makes of most JPEG files, the same pixels by the same library, without what Pillow does around it.

    None for any other file, and for one with any fault: Pillow says which, or knows how to read it.
    """
    if not data.startswith(b"\xff\xd8"):
        return None
    try:
        if not _is_plain(data):
            return None
        height, width, space, _ = simplejpeg.decode_jpeg_header(data)
        scale = next(scale for scale in (8, 4, 2, 1) if scale == 1 or min(height, width) // _least(size) >= scale)
        sides = [-(-side // scale) for side in (height, width)]
        _check_stored(width, height)
        if space not in MODES or math.prod(sides) > PLAIN_PIXELS:
            return None
        pixels = simplejpeg.decode_jpeg(data, min_height=sides[0], min_width=sides[1])
    except (ValueError, LookupError, struct.error, RuntimeError, MemoryError):
        return None
    facts = {"width": width, "height": height, "mode": MODES[space], "format": "JPEG"}
    return _resized(Image.fromarray(pixels), size), facts


def _is_plain(jpeg: bytes) -> bool:
    """Whether the segments before the scan are PLAIN, and none says that there are several pictures.

    Raises struct.error where the file ends before its scan.
    """
    at = 2
    while True:
        start, marker, length = SEGMENT.unpack_from(jpeg, at)
        if start != 0xFF or marker == SCAN:
            return start == 0xFF
        if marker not in PLAIN or jpeg.startswith(b"MPF\0", at + 4):
            return False
        at += 2 + length


def _check_stored(width: int, height: int) -> None:
    """Raise Unusable where there is nothing to see, or too much to decode."""
    if min(width, height) < MIN_SIDE:
        raise Unusable(f"{width} x {height} pixels", f"remove it; a picture has at least {MIN_SIDE} pixels a side")
    if width * height > MAX_PIXELS:
        raise Unusable(f"{width} x {height} pixels", f"scale it down to at most {MAX_PIXELS // 10**6} million pixels")


def _least(size: int) -> int:
    """The least side of what a JPEG is decoded to."""
    return math.ceil(HELD * size)


def _resized(rgb: Image.Image, size: int) -> np.ndarray:
    return np.asarray(rgb.resize((size, size), Image.Resampling.BILINEAR), dtype=np.uint8)


def _read(image: Image.Image, size: int) -> tuple[np.ndarray, dict[str, object]]:
    width, height = image.size
    facts = {"width": width, "height": height, "mode": image.mode, "format": image.format}
    _check_stored(width, height)
    image.draft(None, (_least(size), _least(size)))
    if image.width * image.height > MAX_DECODED:
        raise Unusable(f"{width} x {height} pixels", f"scale it down to at most {MAX_DECODED // 10**6} million pixels")
    ImageOps.exif_transpose(image, in_place=True)
    return _resized(to_rgb(image), size), facts


def to_rgb(image: Image.Image) -> Image.Image:
    """Any mode of Pillow as 8-bit RGB; transparency is laid over white."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return Image.fromarray(_to_8_bits(np.asarray(image))).convert("RGB")
    if image.mode == "LAB":
        return ImageCms.profileToProfile(
            image, ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _to_8_bits(pixels: np.ndarray) -> np.ndarray:
    """Grey pixels of 16 or 32 bits, or floats, as uint8.

    Their full scale is not in the file: it is the smallest of 1 (floats), 255, 65535 and the largest
    value that holds all of them; 16-bit storage always has 65535.
    """
    values = np.nan_to_num(pixels.astype(np.float64), posinf=0.0, neginf=0.0)
    largest = values.max()
    scales = [65535.0] if pixels.dtype.itemsize == 2 else [255.0, 65535.0, largest]
    if pixels.dtype.kind == "f":
        scales.insert(0, 1.0)
    scale = next(each for each in scales if largest <= each)
    return np.clip(np.rint(values * (255.0 / scale)), 0, 255).astype(np.uint8)
