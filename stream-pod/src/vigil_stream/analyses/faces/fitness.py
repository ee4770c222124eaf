"""The fitness of a camera for recognition, measured on its faces, with the number that is needed."""

from collections import deque
from statistics import median

import numpy as np
from numpy.typing import NDArray

from vigil_contracts.conditions import FitnessReason
from vigil_vision.faces.quality import Pose

WINDOW = 200
"""Newest faces that count."""

ENOUGH = 10
"""Faces before there is an assessment."""

NEEDED_PIXELS = 50.0
"""Median width of a face: an embedder's 112-pixel input holds no more than what 50 pixels show, at half its
sharpness."""

NEEDED_SHARPNESS = 0.2
NEEDED_YAW = 45.0
"""Degrees; more than half of the faces turned further are seldom recognised."""

NEAR_THE_LIMIT = 1.5
"""Median width over the least that can be found, below which others of the faces are missed for their size."""

FRONTAL = 20.0
"""Degrees of yaw and roll within which the breadth of a face shows whether its video is distorted."""

TOO_BROAD, TOO_NARROW = 1.15, 0.85
"""Median ratio of the distance of the eyes to that from eyes to mouth. Of 40 photos it is 0.88 to 1.14 with two
detectors, in the middle 1.01; stretched by 1.45 in the middle 1.16 and 1.32, squeezed by 1.33 it is 0.87 and 0.79:
only strong distortion shows."""


MIN_EYES = 12.0
"""Pixels between the eyes in the detector's input, of a face of about 30. In smaller ones, landmarks that are a pixel
off look like distortion."""


def breadth(landmarks: NDArray[np.float32], pose: Pose, scale: float) -> float | None:
    """Return the distance of the eyes over that from eyes to mouth; None when it cannot be measured.

    Parameters
    ----------
    landmarks
        [5,2] in pixels of the source.
    pose
        Only frontal faces are measured.
    scale
        Pixels of the detector's input for one of the source.
    """
    right_eye, left_eye, _, *mouth = landmarks
    eyes = float(np.linalg.norm(left_eye - right_eye))
    if abs(pose.yaw) > FRONTAL or abs(pose.roll) > FRONTAL or eyes * scale < MIN_EYES:
        return None
    down = float(np.linalg.norm((mouth[0] + mouth[1]) / 2 - (right_eye + left_eye) / 2))
    return eyes / down if down else None


class Fitness:
    """Collects measurements of faces; not for several threads."""

    def __init__(self) -> None:
        self._pixels: deque[float] = deque(maxlen=WINDOW)
        self._yaw: deque[float] = deque(maxlen=WINDOW)
        self._sharpness: deque[float] = deque(maxlen=WINDOW)
        self._breadth: deque[float] = deque(maxlen=WINDOW)
        self.found_from: float | None = None
        """Width in source pixels from which faces can be found; None: not known yet."""

    def add_face(self, pixels: float, yaw: float | None = None) -> None:
        """Add a detected face: its width in source pixels, and its yaw in degrees where it is known."""
        self._pixels.append(pixels)
        if yaw is not None:
            self._yaw.append(abs(yaw))

    def add_breadth(self, ratio: float | None) -> None:
        """Add the `breadth` of a face, where it is known."""
        if ratio is not None:
            self._breadth.append(ratio)

    def add_sharpness(self, sharpness: float) -> None:
        """Add the sharpness of a face, 0 to 1."""
        self._sharpness.append(sharpness)

    def assess(self) -> tuple[FitnessReason, str]:
        """Return the reason and its message."""
        if len(self._pixels) < ENOUGH:
            message = f"{len(self._pixels)} faces seen so far; {ENOUGH} are needed to assess"
            return FitnessReason.NO_FACES_YET, message + self._limit()
        pixels = median(self._pixels)
        if pixels < NEEDED_PIXELS:
            needed = f"{NEEDED_PIXELS:.0f} are needed: zoom in, or come nearer"
            message = f"half of the faces are smaller than {pixels:.0f} pixels; {needed}"
            return FitnessReason.FACES_TOO_SMALL, message + self._limit(pixels)
        if len(self._breadth) >= ENOUGH and not TOO_NARROW <= median(self._breadth) <= TOO_BROAD:
            how = "broad" if median(self._breadth) > 1 else "narrow"
            message = f"faces are too {how}; set the camera's resolution to the aspect ratio of its sensor"
            return FitnessReason.FACES_DISTORTED, message
        if len(self._yaw) >= ENOUGH and (yaw := median(self._yaw)) > NEEDED_YAW:
            remedy = "hang the camera where people look towards it"
            message = f"half of the faces are turned by more than {yaw:.0f} degrees; {remedy}"
            return FitnessReason.FACES_TURNED, message
        if len(self._sharpness) >= ENOUGH and (sharp := median(self._sharpness)) < NEEDED_SHARPNESS:
            message = (
                f"half of the faces have a sharpness below {sharp:.2f}; {NEEDED_SHARPNESS:.2f} is needed: focus, "
                "more light, or a shorter exposure"
            )
            return FitnessReason.FACES_BLURRED, message
        message = f"faces are {pixels:.0f} pixels wide (median of the last {len(self._pixels)})"
        return FitnessReason.MEASURED, message + self._limit(pixels)

    def _limit(self, pixels: float = 0.0) -> str:
        """Return from which width faces are found, where they are not much wider; else nothing."""
        if self.found_from is None or pixels > NEAR_THE_LIMIT * self.found_from:
            return ""
        return f"; here, faces are found from about {self.found_from:.0f} pixels of width"


def lying(turns: int, rotation: int, *, mirror: bool) -> tuple[FitnessReason, str] | None:
    """Return the assessment of a camera whose faces are not upright; None when they are.

    Parameters
    ----------
    turns
        Quarter turns counter-clockwise that bring the faces upright, 0 to 3.
    rotation, mirror
        As in the source of the Camera now.
    """
    if not turns % 4:
        return None
    clockwise = 90 * turns if mirror else -90 * turns
    how = "are upside down" if turns == 2 else "lie on their side"
    message = f"most faces {how}; hang the camera upright, or set source.rotation to {(rotation + clockwise) % 360}"
    return FitnessReason.FACES_LYING, message
