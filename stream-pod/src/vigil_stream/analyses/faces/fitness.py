"""The fitness of a camera for recognition, measured on its faces, with the number that is needed."""

from collections import deque
from statistics import median

from vigil_contracts.conditions import FitnessReason

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


class Fitness:
    """Collects measurements of faces; not for several threads."""

    def __init__(self) -> None:
        self._pixels: deque[float] = deque(maxlen=WINDOW)
        self._yaw: deque[float] = deque(maxlen=WINDOW)
        self._sharpness: deque[float] = deque(maxlen=WINDOW)

    def add_face(self, pixels: float, yaw: float | None = None) -> None:
        """Add a detected face: its width in source pixels, and its yaw in degrees where it is known."""
        self._pixels.append(pixels)
        if yaw is not None:
            self._yaw.append(abs(yaw))

    def add_sharpness(self, sharpness: float) -> None:
        """Add the sharpness of a face, 0 to 1."""
        self._sharpness.append(sharpness)

    def assess(self) -> tuple[FitnessReason, str]:
        """Return the reason and its message."""
        if len(self._pixels) < ENOUGH:
            return FitnessReason.NO_FACES_YET, f"{len(self._pixels)} faces seen so far; {ENOUGH} are needed to assess"
        pixels = median(self._pixels)
        if pixels < NEEDED_PIXELS:
            needed = f"{NEEDED_PIXELS:.0f} are needed: zoom in, or come nearer"
            return FitnessReason.FACES_TOO_SMALL, f"half of the faces are smaller than {pixels:.0f} pixels; {needed}"
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
        return FitnessReason.MEASURED, f"faces are {pixels:.0f} pixels wide (median of the last {len(self._pixels)})"
