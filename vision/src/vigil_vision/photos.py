"""Decoding untrusted photos. Needs Pillow (extra `photos`); the stream pod never imports this.

PhotoError
├── PhotoTooLarge      too many bytes or pixels
├── PhotoFormatError   of another format; the message names it and the remedy
└── PhotoDamaged       begins as one, but cannot be decoded
"""

import io
import struct
import zlib
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError, features

from vigil_contracts.registry import MAX_PHOTO_BYTES
from vigil_vision.letterbox import Letterbox
from vigil_vision.photo_formats import READ, name_format

FORMATS = ("JPEG", "PNG", "WEBP", *(("AVIF",) if features.check("avif") else ()))
MAX_PIXELS = 50_000_000
"""50 megapixels: more than a phone's camera takes by default, 150 MB decoded."""

MAX_SIDE = 2048
"""Longer side of what is handed on: a face of a tenth of it still fills a 112 pixel crop."""

_DECODER_ERRORS = (
    OSError,
    RuntimeError,
    SyntaxError,
    ValueError,
    IndexError,
    KeyError,
    EOFError,
    struct.error,
    zlib.error,
)
"""Errors that Pillow's decoders raise on damaged files."""


class PhotoError(ValueError):
    """A photo that cannot be used; the message is a sentence for the sender."""


class PhotoTooLarge(PhotoError):  # noqa: N818 - reads as what it is
    """Too many bytes or pixels; found before anything is decoded."""


class PhotoFormatError(PhotoError):
    """The file is of another format."""


class PhotoDamaged(PhotoError):  # noqa: N818 - reads as what it is
    """Truncated or corrupt."""


def decode_photo(data: bytes, *, max_side: int = MAX_SIDE, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Decode a JPEG, PNG, WebP or AVIF to upright RGB.

    Parameters
    ----------
    data
        The file, at most 20 MiB.
    max_side
        A larger photo is scaled down to this longer side, in pixels.
    max_pixels
        A photo with more in its header is refused before its pixels are decoded.

    Returns
    -------
    [H,W,3] uint8 RGB, turned upright by its EXIF orientation; transparent parts are white. Of an animation, the first
    frame.

    Raises
    ------
    PhotoError
        One of its subclasses.
    """
    if len(data) > MAX_PHOTO_BYTES:
        size = f"{len(data) / 1e6:.1f} MB"
        msg = f"the file has {size}; at most {MAX_PHOTO_BYTES / 1e6:.0f} MB are read; scale the photo down"
        raise PhotoTooLarge(msg)
    with _open(data, max_pixels) as image:
        try:
            # Lets libjpeg decode at a half, a quarter or an eighth of the size where that is enough.
            image.draft(None, (max_side, max_side))
            image.load()
        except _DECODER_ERRORS as error:
            msg = f"the {image.format} file is damaged or cut short ({error}); copy the photo again, or use another one"
            raise PhotoDamaged(msg) from error
        upright: Image.Image = image
        with suppress(*_DECODER_ERRORS):
            # A broken EXIF block holds no orientation: the image stays as it is.
            upright = ImageOps.exif_transpose(image)
        rgb = _to_rgb(upright)
        rgb.thumbnail((max_side, max_side), Image.Resampling.BICUBIC)
        return np.array(rgb)


def scale_into(image: NDArray[np.uint8], letterbox: Letterbox) -> NDArray[np.uint8]:
    """Scale a photo [H,W,3] into a detector input [height,width,3] by a letterbox; padding is black."""
    canvas = np.zeros((letterbox.height, letterbox.width, 3), np.uint8)
    size = (letterbox.scaled_width, letterbox.scaled_height)
    scaled = Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)
    canvas[: letterbox.scaled_height, : letterbox.scaled_width] = np.asarray(scaled)
    return canvas


def _open(data: bytes, max_pixels: int) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        msg = f"the photo has more pixels than the {max_pixels / 1e6:.0f} megapixels that are read; scale it down"
        raise PhotoTooLarge(msg) from error
    except UnidentifiedImageError as error:
        found = name_format(data)
        msg = f"the file is {found.name}; {found.remedy} ({READ} are read)"
        raise PhotoFormatError(msg) from error
    except _DECODER_ERRORS as error:
        msg = f"the file is damaged ({error}); copy the photo again, or use another one"
        raise PhotoDamaged(msg) from error
    if image.width * image.height > max_pixels:
        size = f"{image.width}x{image.height}"
        msg = f"the photo has {size} pixels; at most {max_pixels / 1e6:.0f} megapixels are read; scale it down"
        image.close()
        raise PhotoTooLarge(msg)
    return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # 16-bit greys: Pillow would clip them at 255 instead of scaling.
        return Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        ground = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(ground, layer).convert("RGB")
    return image.convert("RGB")
