"""The detector's scores of aligned faces, shown side by side as the tiles of one small image."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from vigil_vision.faces.alignment import CROP
from vigil_vision.faces.model_info import DetectorInfo
from vigil_vision.faces.models import FaceModels

TILE = 128
"""Side of a tile in pixels; the crop in its middle leaves a black border, so that tiles do not influence each other."""

COLUMNS = 4
"""Tiles in a row, where the detector takes images of any size."""

_BORDER = (TILE - CROP) // 2


def score(models: FaceModels, crops: Sequence[NDArray[np.uint8]], *, deadline_s: float | None = None) -> list[float]:
    """Return the detector's score of the face in each crop, 0 to 1; 0 where it finds none.

    Parameters
    ----------
    models
        Only the detector is used.
    crops
        [112,112,3] uint8 RGB, each with one face that fills it.
    deadline_s
        Seconds per image that is sent, instead of the models' own.

    Raises
    ------
    InferenceError
        When no server responds.
    """
    found: list[float] = []
    for mosaic, places in _mosaics(crops, models.detector_info()):
        rows = models.detect(mosaic, deadline_s=deadline_s).values[0]
        found += [_score(rows, left, top) for left, top in places]
    return found


def _mosaics(
    crops: Sequence[NDArray[np.uint8]], detector: DetectorInfo
) -> Iterator[tuple[NDArray[np.uint8], list[tuple[int, int]]]]:
    """Yield images of the size that the detector takes, each with the left and top of its tiles."""
    width, height = detector.width or COLUMNS * TILE, detector.height or -(-len(crops) // COLUMNS) * TILE
    columns, rows = max(width // TILE, 1), max(height // TILE, 1)
    for begin in range(0, len(crops), columns * rows):
        batch = crops[begin : begin + columns * rows]
        places = [(number % columns * TILE, number // columns * TILE) for number in range(len(batch))]
        mosaic = np.zeros((height, width, 3), np.uint8)
        for crop, (left, top) in zip(batch, places, strict=True):
            mosaic[top + _BORDER : top + _BORDER + CROP, left + _BORDER : left + _BORDER + CROP] = crop
        yield mosaic, places


def _score(rows: NDArray[np.float32], left: int, top: int) -> float:
    """Return the best score of the rows [K,15] whose box has its centre in the middle half of a tile; 0 without one."""
    middle = (rows[:, :2] + rows[:, 2:4]) / 2 - np.array([left + TILE / 2, top + TILE / 2], np.float32)
    inside = (np.abs(middle) < TILE / 4).all(axis=1)
    return float(rows[inside, 4].max(initial=0.0))
