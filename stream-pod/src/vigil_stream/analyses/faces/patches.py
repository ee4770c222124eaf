"""Patches: tiny images of faces, by which the tracker notices another face in the same place.

The aligned face is sampled in the detector's own input, so that position, size and tilt do not count, and averaged to
8 by 8 cells, so that misplaced landmarks hardly do; brightness and contrast are taken out. That costs microseconds.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from vigil_vision.faces import alignment
from vigil_vision.letterbox import Letterbox

SIDE: Final = 8
"""Cells along each side of a patch."""

_POINTS: Final = 4
"""Samples along each side of a cell."""

_COUNT: Final = SIDE * _POINTS
_AXIS = (np.arange(_COUNT, dtype=np.float32) + 0.5) * (alignment.CROP / _COUNT)
_GRID: Final = (_AXIS[None, :] + 1j * _AXIS[:, None]).astype(np.complex64).ravel()
"""Points of an aligned face as complex numbers, row by row."""


def patches(pixels: NDArray[np.uint8], box: Letterbox, landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the patch of each face, [n,64] float32 with rows of unit length (0 where a face has no contrast).

    Parameters
    ----------
    pixels
        The input of the detector [H,W,3] uint8 RGB.
    landmarks
        [n,5,2] in pixels of the source.
    """
    if not len(landmarks):
        return np.empty((0, SIDE * SIDE), np.float32)
    scale = np.array([box.scaled_width / box.source_width, box.scaled_height / box.source_height], np.float32)
    matrices = alignment.similarity_transforms(landmarks * scale)
    turns = matrices[:, 0, 0] + 1j * matrices[:, 1, 0]
    shifts = matrices[:, 0, 2] + 1j * matrices[:, 1, 2]
    points = (_GRID - shifts[:, None]) / turns[:, None]
    x = np.clip(points.real + 0.5, 0, pixels.shape[1] - 1).astype(np.intp)
    y = np.clip(points.imag + 0.5, 0, pixels.shape[0] - 1).astype(np.intp)
    # Green alone is nearly the brightness, and a third of the work.
    samples = pixels[..., 1][y, x].astype(np.float32)
    rows = samples.reshape(-1, SIDE, _POINTS, _COUNT).sum(axis=2)
    grey = rows.reshape(-1, SIDE, SIDE, _POINTS).sum(axis=3).reshape(len(landmarks), -1)
    grey -= grey.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(grey, axis=1, keepdims=True)
    result: NDArray[np.float32] = grey / np.maximum(lengths, 1e-3)
    return result
