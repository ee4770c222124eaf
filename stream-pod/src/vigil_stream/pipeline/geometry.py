"""Geometry of a frame: pixels to shares of it, the part that an alignment reads; and seconds to moments."""

import datetime as dt
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vigil_contracts.events import Box


def moment(seconds: float) -> dt.datetime:
    """Return the moment in UTC of seconds since the epoch."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC)


def share_box(box: Sequence[float], width: int, height: int) -> Box:
    """Return x1, y1, x2, y2 in pixels as shares of a frame of `width` x `height`."""
    x1, y1, x2, y2 = box
    return Box(x=x1 / width, y=y1 / height, width=(x2 - x1) / width, height=(y2 - y1) / height)


def distance(before: Box, now: Box) -> float:
    """Return the distance of two boxes in their mean size."""
    width, height = (before.width + now.width) / 2, (before.height + now.height) / 2
    dx = (now.x + now.width / 2 - before.x - before.width / 2) / max(width, 1e-6)
    dy = (now.y + now.height / 2 - before.y - before.height / 2) / max(height, 1e-6)
    return float((dx * dx + dy * dy) ** 0.5)


def surroundings(landmarks: NDArray[np.float32], width: int, height: int) -> tuple[int, int, int, int]:
    """Return the part of a frame that the alignment of a face reads.

    The template's 112 pixels are 3.2 times its eye distance; turned by 45 degrees its corners lie 2.3 eye distances
    from its centre, which the landmarks' centre misses by at most half of one. The landmarks' largest distance from
    their centre is 0.7 eye distances.

    Parameters
    ----------
    landmarks
        [5,2] in pixels.
    width, height
        The size of the frame in pixels.

    Returns
    -------
    Left, top, width, height in pixels, inside the frame; left and top even. May be empty.
    """
    centre = landmarks.mean(axis=0)
    spread = float(np.linalg.norm(landmarks - centre, axis=1).max())
    x, y = centre.tolist()
    reach = 4 * spread + 4
    left, top = max(int(x - reach), 0) // 2 * 2, max(int(y - reach), 0) // 2 * 2
    right, bottom = min(int(x + reach) + 1, width), min(int(y + reach) + 1, height)
    return left, top, right - left, bottom - top
