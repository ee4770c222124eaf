"""The direction that is up in a face, from the detector's scores of the face at four turns.

Landmarks do not show it: a detector draws those of an upside-down face upright, on the wrong places. Its score does: it
is highest for a face the way up that it was trained on. So the surroundings of the aligned face are shown to the
detector once more, at four quarter turns and two scales, as the tiles of one small image.

Measured on 59 photos of about 40 people, as they are, small (32 to 120 pixels), dark, noisy and blurred, with YuNet and
with SCRFD-2.5G: of 797 upright faces every one scored highest upright; of 361 turned ones all did so at the right turn
but four profiles and one head that is tilted by 45 degrees. In video, 6 of 214 small or blurred faces are wrongly taken
for turned.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vigil_vision.faces import alignment, tiles
from vigil_vision.faces.models import FaceModels

TURNS = 4
ZOOMS = (1.5, 2.0)
"""Sides of the surroundings that are shown, in sides of the aligned crop."""

CERTAIN_LEAD = 0.02
"""Least lead of the best turn over the second for turning a photo; the least lead of an upright portrait is 0.03."""


@dataclass(frozen=True, slots=True)
class FaceOrientation:
    """The detector's scores of one face.

    Attributes
    ----------
    scores
        Mean score, 0 to 1, of the aligned face as it is, and turned counter-clockwise by one, two and three quarters.
    """

    scores: tuple[float, float, float, float]

    @property
    def turns(self) -> int:
        """Quarter turns counter-clockwise that bring the aligned face upright, 0 to 3."""
        return int(np.argmax(self.scores))

    @property
    def upright(self) -> bool:
        """Whether the aligned face is upright: only such a face may be compared with others."""
        return self.turns == 0

    @property
    def certain(self) -> bool:
        """Whether the best turn leads clearly."""
        second, best = sorted(self.scores)[-2:]
        return best - second >= CERTAIN_LEAD

    def image_turns(self, roll_degrees: float) -> int:
        """Return the quarter turns counter-clockwise that bring the whole image upright, 0 to 3.

        Parameters
        ----------
        roll_degrees
            The roll of the landmarks in the image (`quality.pose_of`), which the alignment undid.
        """
        return (self.turns + round(roll_degrees / 90)) % TURNS


def cut_surroundings(
    image: NDArray[np.uint8], landmarks: NDArray[np.float32], zooms: Sequence[float] = ZOOMS, *, degrees: float = 0.0
) -> NDArray[np.uint8]:
    """Cut aligned faces out with their surroundings; pure.

    Parameters
    ----------
    image
        [H,W,3] uint8 RGB.
    landmarks
        [n,5,2] float32 in pixels of that image.
    zooms
        m of them; the first alone is half the work, and enough where a face that is doubtful need not be turned.
    degrees
        Turned further clockwise by this, for the orientations in between.

    Returns
    -------
    [n,m,112,112,3] uint8 RGB, for `read_orientations`.
    """
    scales = [alignment.align(image, landmarks, zoom=zoom, degrees=degrees) for zoom in zooms]
    return np.stack(scales, axis=1)


def read_orientations(
    models: FaceModels, surroundings: NDArray[np.uint8], *, deadline_s: float | None = None
) -> list[FaceOrientation]:
    """Return the orientation of each face; costs a quarter of a detection in 640x384 pixels for each zoom.

    Parameters
    ----------
    models
        Only the detector is used.
    surroundings
        [n,m,112,112,3] uint8 RGB, from `cut_surroundings`.
    deadline_s
        Seconds per image that is sent, instead of the models' own.

    Raises
    ------
    InferenceError
        When no server responds.
    """
    return [_read(models, one, deadline_s) for one in surroundings]


def _read(models: FaceModels, surroundings: NDArray[np.uint8], deadline_s: float | None) -> FaceOrientation:
    turned = [np.rot90(crop, turns) for crop in surroundings for turns in range(TURNS)]
    found = tiles.score(models, turned, deadline_s=deadline_s)
    means = np.array(found).reshape(-1, TURNS).mean(axis=0).tolist()
    return FaceOrientation((means[0], means[1], means[2], means[3]))
