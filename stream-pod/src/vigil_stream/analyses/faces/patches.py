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

_POINTS: Final = 5
"""Samples along each side of a cell."""

_LUMA: Final = np.array([0.299, 0.587, 0.114], np.float32)
_AXIS = (np.arange(SIDE * _POINTS, dtype=np.float32) + 0.5) * (alignment.CROP / (SIDE * _POINTS))
_GRID: Final = np.stack(np.meshgrid(_AXIS, _AXIS), axis=-1).reshape(-1, 2)


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
    inverse = np.linalg.inv(matrices[:, :, :2])
    points = np.einsum("nij,nkj->nki", inverse, _GRID[None] - matrices[:, None, :, 2])
    x = np.clip(np.rint(points[..., 0]).astype(np.intp), 0, pixels.shape[1] - 1)
    y = np.clip(np.rint(points[..., 1]).astype(np.intp), 0, pixels.shape[0] - 1)
    samples = pixels[y, x].reshape(-1, SIDE, _POINTS, SIDE, _POINTS, 3)
    grey = (samples.mean(axis=(2, 4), dtype=np.float32) @ _LUMA).reshape(len(landmarks), -1)
    grey -= grey.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(grey, axis=1, keepdims=True)
    result: NDArray[np.float32] = grey / np.maximum(lengths, 1e-3)
    return result
