"""Geometry of fitting an image into a detector's input: one scale, padding only at the right and the bottom.

Padding on two sides only keeps the way back a plain scale without an offset. The scaling itself happens where the image
is (swscale in the stream pod, Pillow for photos); this module only computes the sizes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STRIDE = 32
"""Detectors have feature maps down to 1/32 of the input; sides must be multiples of it."""

MAX_SOURCE_SIDE = 32_768
"""An image with a longer side is damaged or an attack; libswscale refuses it as well."""


@dataclass(frozen=True, slots=True)
class Letterbox:
    """How a source image lies in the detector's input; all numbers in pixels.

    Attributes
    ----------
    source_width, source_height
        The source image.
    scaled_width, scaled_height
        The image inside the input, top left; at least 1 each.
    width, height
        The whole input, multiples of 32; what lies beyond the scaled image is black.
    """

    source_width: int
    source_height: int
    scaled_width: int
    scaled_height: int
    width: int
    height: int

    @property
    def scale(self) -> tuple[float, float]:
        """Source pixels per input pixel, horizontally and vertically; they differ only by rounding to whole pixels."""
        return self.source_width / self.scaled_width, self.source_height / self.scaled_height

    def to_source(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map points from the input to the source image.

        Parameters
        ----------
        points
            [..., 2k] x and y alternating, in input pixels: landmarks [n,5,2] as well as boxes [n,4].

        Returns
        -------
        [..., 2k] float32 in source pixels.
        """
        return points * self._factors(points.shape[-1])

    def _factors(self, columns: int) -> NDArray[np.float32]:
        return np.tile(np.asarray(self.scale, np.float32), columns // 2)


def fit(source_width: int, source_height: int, max_width: int, max_height: int, *, enlarge: bool = False) -> Letterbox:
    """Fit an image into at most `max_width` x `max_height` and pad to the next multiples of 32.

    Parameters
    ----------
    source_width, source_height
        1 to 32768 pixels.
    max_width, max_height
        At least 32; rounded down to a multiple of 32.
    enlarge
        Scale a small image up to the limit; else it stays as it is.

    Raises
    ------
    ValueError
        When a side is out of range; the message holds the size.
    """
    if not (1 <= source_width <= MAX_SOURCE_SIDE and 1 <= source_height <= MAX_SOURCE_SIDE):
        size = f"{source_width}x{source_height}"
        msg = f"an image of {size} pixels cannot be analysed; each side must be 1 to {MAX_SOURCE_SIDE}"
        raise ValueError(msg)
    if max_width < STRIDE or max_height < STRIDE:
        msg = f"a detector input of {max_width}x{max_height} pixels is too small; each side must be at least {STRIDE}"
        raise ValueError(msg)
    room_width, room_height = max_width // STRIDE * STRIDE, max_height // STRIDE * STRIDE
    factor = min(room_width / source_width, room_height / source_height)
    if not enlarge:
        factor = min(factor, 1.0)
    scaled_width = min(max(round(source_width * factor), 1), room_width)
    scaled_height = min(max(round(source_height * factor), 1), room_height)
    return Letterbox(
        source_width, source_height, scaled_width, scaled_height, _padded(scaled_width), _padded(scaled_height)
    )


def exact(source_width: int, source_height: int, width: int, height: int) -> Letterbox:
    """Fit an image into an input of exactly `width` x `height` (multiples of 32), for a model that fixes it."""
    if width % STRIDE or height % STRIDE:
        msg = f"a detector input of {width}x{height} pixels does not work; each side must be a multiple of {STRIDE}"
        raise ValueError(msg)
    inner = fit(source_width, source_height, width, height, enlarge=True)
    return Letterbox(source_width, source_height, inner.scaled_width, inner.scaled_height, width, height)


def _padded(side: int) -> int:
    return -(-side // STRIDE) * STRIDE
