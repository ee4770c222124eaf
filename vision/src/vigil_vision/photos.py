"""Photos from outside: bytes to pixels, safely. Needs Pillow (extra `photos`); the stream pod never imports this.

PhotoError
├── PhotoTooLarge      too many bytes or pixels
├── PhotoFormatError   not a JPEG, PNG or WebP
└── PhotoDamaged       begins as one, but cannot be decoded
"""

import numpy as np
from numpy.typing import NDArray

from vigil_vision.letterbox import Letterbox

MAX_BYTES = 20 * 1024 * 1024
MAX_PIXELS = 50_000_000
"""50 megapixels: more than a phone's camera gives by default, 150 MB decoded."""


class PhotoError(ValueError):
    """A photo that cannot be used; the message is a sentence for the person who sent it."""


class PhotoTooLarge(PhotoError):  # noqa: N818 - reads as what it is
    """Too many bytes or pixels; found before anything is decoded."""


class PhotoFormatError(PhotoError):
    """Not a JPEG, PNG or WebP."""


class PhotoDamaged(PhotoError):  # noqa: N818 - reads as what it is
    """Truncated or corrupt."""


def decode_photo(data: bytes, *, max_side: int = 4096, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Decode a JPEG, PNG or WebP to upright RGB.

    Parameters
    ----------
    data
        The file, at most 20 MiB.
    max_side
        A larger photo is scaled down to this longer side, in pixels.
    max_pixels
        A photo that says it has more is refused before its pixels are touched.

    Returns
    -------
    [H,W,3] uint8 RGB, turned upright by its EXIF orientation; transparent parts are white.

    Raises
    ------
    PhotoError
        One of its subclasses.
    """
    raise NotImplementedError


def scale_into(image: NDArray[np.uint8], letterbox: Letterbox) -> NDArray[np.uint8]:
    """Scale a photo [H,W,3] into a detector input [height,width,3] as the letterbox says; padding is black."""
    raise NotImplementedError
