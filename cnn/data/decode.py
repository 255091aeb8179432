"""From the bytes of an image file to RGB pixels of the network's size.

Every mode Pillow reads becomes RGB: EXIF rotation applied, transparency over white, 16 bits scaled
to 8, the first frame of an animation. A picture that cannot be used raises Unusable with a reason.
"""

import io
import math
import struct
import warnings

import numpy as np
from PIL import Image, ImageCms, ImageFile, ImageOps, UnidentifiedImageError

# Formats read by code in this process; Pillow's EPS reader, for one, starts Ghostscript.
Image.init()
ALLOWED = (
    *("JPEG", "AVIF", "BMP", "DDS", "DIB", "GIF", "ICO", "JPEG2000", "MPO", "PCX", "PNG", "PPM", "QOI", "SGI"),
    *("TGA", "TIFF", "WEBP"),
)  # in the order in which they are tried; most pictures are JPEG files
FORMATS = [name for name in ALLOWED if name in Image.OPEN]  # a build of Pillow may lack some
# Pixels a side of a decoded JPEG for one of the result: for 96, a 320x240 JPEG is decoded at 160x120. The mean absolute
# difference to full decoding and the same filter is 1.1 of 255 on 200 photographs of 175 sizes. With 1.0 it is 1.7;
# 2.0 gains nothing on such sizes.
MIN_OVERSAMPLE = 1.25
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
    first decoded at the smallest of its DCT scales (1/2, 1/4, 1/8) whose sides are at least MIN_OVERSAMPLE
    times `size`.
    Raises Unusable.
    """
    if not data:
        raise Unusable("empty file", "copy it again or remove it")
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


def min_decoded_side(size: int) -> int:
    """Pixels: the smallest side to which a JPEG is reduced for a result of `size`."""
    return math.ceil(MIN_OVERSAMPLE * size)


def _read(image: Image.Image, size: int) -> tuple[np.ndarray, dict[str, object]]:
    width, height = image.size
    facts = {"width": width, "height": height, "mode": image.mode, "format": image.format}
    if min(width, height) < MIN_SIDE:
        raise Unusable(f"{width} x {height} pixels", f"remove it; a picture has at least {MIN_SIDE} pixels a side")
    if width * height > MAX_PIXELS:
        raise Unusable(f"{width} x {height} pixels", f"scale it down to at most {MAX_PIXELS // 10**6} million pixels")
    image.draft(None, (min_decoded_side(size), min_decoded_side(size)))
    if image.width * image.height > MAX_DECODED:
        raise Unusable(f"{width} x {height} pixels", f"scale it down to at most {MAX_DECODED // 10**6} million pixels")
    ImageOps.exif_transpose(image, in_place=True)
    resized = to_rgb(image).resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(resized, dtype=np.uint8), facts


def to_rgb(image: Image.Image) -> Image.Image:
    """Any mode of Pillow as 8-bit RGB; transparency is composited over white."""
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
