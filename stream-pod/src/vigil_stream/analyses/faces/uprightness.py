"""Whether the faces of a camera are upright: checked now and then, because landmarks do not show it.

A detector draws the landmarks of an upside-down face upright, on the wrong places, and such faces of different people
resemble each other. So a camera whose faces are not upright names nobody, and reports how it hangs.
"""

from collections import deque
from dataclasses import dataclass
from statistics import mode
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vigil_stream.scene import Scene
from vigil_vision.faces import orientation, quality
from vigil_vision.faces.models import FaceModels

CHECK_S: Final = 10.0
"""Seconds between two checks of a camera whose faces are upright; each costs a quarter of a detection."""

CHECK_SOON_S: Final = 1.0
"""Seconds between two checks until the orientation is known, and while faces are not upright."""

MIN_CHECKS: Final = 5
"""Checks before the orientation is known."""

WINDOW: Final = 15
"""Newest checks that count."""

MIN_PIXELS: Final = 24
"""Width of a face in the detector's input from which its score shows which way it is up."""


@dataclass(frozen=True, slots=True, eq=False)
class Surroundings:
    """A face that is checked: [1,1,112,112,3] uint8 RGB, and the roll of its landmarks in degrees."""

    pixels: NDArray[np.uint8]
    roll_degrees: float


class Uprightness:
    """Checks faces of one camera. `cut` is called on the thread of the analysis, `check` on that of the requests."""

    def __init__(self, models: FaceModels) -> None:
        self._models = models
        self._image_turns: deque[int] = deque(maxlen=WINDOW)
        self._aligned_turns: deque[int] = deque(maxlen=WINDOW)
        self._checked_at = float("-inf")

    @property
    def turns(self) -> int:
        """Quarter turns counter-clockwise that bring most of the faces upright; 0 also when it is not known yet."""
        return _most(self._image_turns)

    @property
    def misleads(self) -> bool:
        """Whether faces are aligned the wrong way up, so that their embeddings are of no use.

        The last check decides until enough were made; then most of them do.
        """
        if len(self._aligned_turns) < MIN_CHECKS:
            return bool(self._aligned_turns) and self._aligned_turns[-1] != 0
        return _most(self._aligned_turns) != 0

    def cut(self, scene: Scene) -> Surroundings | None:
        """Cut the largest face of a frame out for a check; None when none is due."""
        known = len(self._image_turns) >= MIN_CHECKS
        wait_s = CHECK_S if known and not self.turns and not self.misleads else CHECK_SOON_S
        if not len(scene.detections) or scene.at - self._checked_at < wait_s:
            return None
        largest = int(np.argmax(scene.detections.face_pixels))
        box = scene.letterbox
        scale = np.array([box.scaled_width / box.source_width, box.scaled_height / box.source_height], np.float32)
        if float(scene.detections.face_pixels[largest]) * float(scale[0]) < MIN_PIXELS:
            return None
        self._checked_at = scene.at
        landmarks = scene.detections.landmarks[largest]
        pixels = orientation.cut_surroundings(scene.pixels, (landmarks * scale)[None], orientation.ZOOMS[:1])
        return Surroundings(pixels, quality.pose_of(landmarks).roll)

    def check(self, face: Surroundings) -> None:
        """Read the orientation of a face and remember it, unless it is doubtful; may raise InferenceError."""
        found = orientation.read_orientations(self._models, face.pixels)[0]
        if found.certain:
            self._aligned_turns.append(found.turns)
            self._image_turns.append(found.image_turns(face.roll_degrees))


def _most(turns: deque[int]) -> int:
    """Return the turn of more than half of the checks; 0 when there is none, or too few were made."""
    seen = tuple(turns)
    if len(seen) < MIN_CHECKS:
        return 0
    most = mode(seen)
    return most if 2 * seen.count(most) > len(seen) else 0
