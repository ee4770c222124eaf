"""What a Camera costs to admit, from the costs of its analyses and the size of its frames; pure."""

import math
from collections.abc import Iterable
from typing import Final, NamedTuple

from vigil_contracts.analyses import ANALYSES, AnalysisName

REFERENCE_PIXELS: Final = 640 * 384
DETECTOR_SIDE: Final = 640
"""Longest side of the detector's input in pixels; a larger frame is scaled down to it."""
STRIDE: Final = 32
"""The detector's input is padded to multiples of it."""
MIN_SHARE: Final = 250
"""Thousandths of the reference frame that the smallest frame counts as: the round trip."""


class FrameSize(NamedTuple):
    """Width and height of a Camera's frames in pixels."""

    width: int
    height: int


def frame_share(size: FrameSize | None) -> int:
    """Return the share of the reference frame that a detector gets of a frame, at least a quarter, in thousandths.

    A frame of unknown size counts as the reference frame.
    """
    if size is None:
        return 1000
    scale = min(1.0, DETECTOR_SIDE / max(size))
    pixels = _padded(size.width * scale) * _padded(size.height * scale)
    return max(MIN_SHARE, math.ceil(1000 * pixels / REFERENCE_PIXELS))


def camera_cost(analyses: Iterable[AnalysisName], fps: int, size: FrameSize | None) -> int:
    """Return what a Camera costs in thousandths of a reference detection per second.

    Parameters
    ----------
    fps
        Frames analysed per second, at most.
    size
        None while no frame was seen.

    Raises
    ------
    KeyError
        An analysis is not implemented.
    """
    share = frame_share(size)
    return fps * sum(math.ceil(ANALYSES[name].cost * share / 1000) for name in analyses)


def _padded(side: float) -> int:
    return max(1, math.ceil(round(side) / STRIDE)) * STRIDE
