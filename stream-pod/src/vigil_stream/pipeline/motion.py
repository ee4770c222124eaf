"""The motion gate: skips frames that equal the one before or show no motion, and finds cuts to another scene."""

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

NOISE_LEVELS = 6
"""Grey levels by which a cell's mean may differ without having changed. A sensor's noise of 5 levels per pixel is 1.3
in the mean of a cell's 16 samples, so this is four to five standard deviations."""

QUIET_WHILE_TRACKING_S = 1.0
"""While something is tracked, a frame is analysed at least so often, moved or not."""

QUIET_S = 5.0
"""And at least so often otherwise: a still person who was missed is found then."""

CUT_CORRELATION = 0.25
CUT_SHARE = 0.45
"""Another scene: the small images correlate less than this, and more than this share of cells changed. Measured on a
filmed stage with cuts, at 5 frames per second: cuts 0.02 to 0.17 with 0.52 to 0.70 changed; a performer who moves
through half of the frame, 0.32 and more with 0.25 to 0.5. Switching a light changes all cells, but keeps the
correlation."""


FOUND_FROM_PIXELS = 10
"""Width of the smallest face that a detector finds, in pixels of its input."""

FACES = 2.0
"""Area of motion, in areas of the smallest face, that opens the gate where that is less than the Camera's threshold: a
head that moves changes its own area and the shoulders below. Fewer cells are a clock that the camera draws."""

FACE_HEIGHT = 1.3
"""Height of a face, in its widths."""

USUAL_THRESHOLD = 0.004
"""The threshold that applies to faces large enough; others scale with it."""


class FrameAction(Enum):
    """The treatment of a frame."""

    ANALYSE = "analyse"
    SKIP_DUPLICATE = "skip duplicate"
    SKIP_STILL = "skip still"


@dataclass(frozen=True, slots=True)
class MotionDecision:
    """The decision on a frame, compared with those before.

    Attributes
    ----------
    action
        The treatment of the frame.
    cut
        It shows another scene than the one before; then it is always analysed.
    """

    action: FrameAction
    cut: bool = False


def changed_share(before: NDArray[np.uint8], now: NDArray[np.uint8]) -> float:
    """Return the share of cells that changed, 0 to 1, between two small grey images [h,w] of one size."""
    difference = np.abs(before.astype(np.int16) - now)
    return int(np.count_nonzero(difference > NOISE_LEVELS)) / int(difference.size)


def correlation(before: NDArray[np.uint8], now: NDArray[np.uint8]) -> float:
    """Return the correlation of two small grey images [h,w]: 1 for one scene in any light, or without contrast."""
    a = before.ravel().astype(np.float32)
    b = now.ravel().astype(np.float32)
    a -= a.mean()
    b -= b.mean()
    scale = float(np.sqrt(np.dot(a, a) * np.dot(b, b)))
    # Below half a grey level of contrast there is nothing to compare: a covered lens, a dark room.
    if scale < 0.25 * a.size:
        return 1.0
    return float(np.dot(a, b)) / scale


def threshold_for_faces(threshold: float, width: int, height: int, face_pixels: float) -> float:
    """Return a threshold that a person with the smallest face that counts reaches.

    Parameters
    ----------
    threshold
        The Camera's, as a share of the area.
    width, height, face_pixels
        The size of the frame, and the width of that face, in one unit.
    """
    face = FACES * FACE_HEIGHT * face_pixels**2 / (width * height)
    return threshold * min(1.0, face / USUAL_THRESHOLD)


class MotionGate:
    """Decides on every sampled frame before anything expensive runs.

    Motion is measured against the last frame that was analysed, not the last one, so that slow movement adds up.

    Parameters
    ----------
    threshold
        Share of the frame's area that must have changed, 0 to 1; None switches the gate off.
    duplicates
        Skip frames that equal the one before.
    """

    def __init__(self, threshold: float | None, *, duplicates: bool) -> None:
        self._given = self._threshold = threshold
        self._duplicates = duplicates
        self._analysed: NDArray[np.uint8] | None = None
        self._analysed_at = float("-inf")
        self._last: NDArray[np.uint8] | None = None
        self._fingerprint: int | None = None

    def fit(self, width: int, height: int, face_pixels: float) -> None:
        """Scale the threshold to the smallest face that counts; parameters as of `threshold_for_faces`."""
        if self._given is not None:
            self._threshold = threshold_for_faces(self._given, width, height, face_pixels)

    def check(self, grey: NDArray[np.uint8], fingerprint: int, at: float, *, tracking: bool) -> MotionDecision:
        """Decide on the next frame.

        Parameters
        ----------
        grey
            [h,w] uint8.
        fingerprint
            Equal for equal frames.
        at
            Seconds on a clock that only goes forward.
        tracking
            Whether something is being tracked.
        """
        same = fingerprint == self._fingerprint
        last, self._last, self._fingerprint = self._last, grey, fingerprint
        if last is None or last.shape != grey.shape:
            return self._analyse(grey, at, cut=False)
        if not same and changed_share(last, grey) > CUT_SHARE and correlation(last, grey) < CUT_CORRELATION:
            return self._analyse(grey, at, cut=True)
        if self._analysed is None:
            return self._analyse(grey, at, cut=False)
        overdue = at - self._analysed_at >= (QUIET_WHILE_TRACKING_S if tracking else QUIET_S)
        if same:
            action = FrameAction.SKIP_DUPLICATE if self._duplicates else FrameAction.SKIP_STILL
            gated = self._duplicates or self._threshold is not None
            return MotionDecision(action) if gated and not overdue else self._analyse(grey, at, cut=False)
        moved = self._threshold is None or changed_share(self._analysed, grey) >= self._threshold
        if moved or overdue:
            return self._analyse(grey, at, cut=False)
        return MotionDecision(FrameAction.SKIP_STILL)

    def _analyse(self, grey: NDArray[np.uint8], at: float, *, cut: bool) -> MotionDecision:
        self._analysed, self._analysed_at = grey, at
        return MotionDecision(FrameAction.ANALYSE, cut)

    def forget(self) -> None:
        """Analyse the next frame whatever it shows: inference failed on the last one, or the source was lost."""
        self._analysed = None
