"""Polygons in the frame: regions in which detections count, and privacy masks."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vigil_contracts.resources.camera import Region
from vigil_stream.pipeline.outline import Polygon, enclosed, has_area, hull

_TOUCH = 1e-2
"""Pixels within which an edge counts as touching the next one: more than the error of rounding."""

_BAND = 128
"""Rows that are computed at once: the memory of a stream process is small."""


def polygons(regions: Sequence[Region]) -> list[Polygon]:
    """Return what the outlines of regions enclose, as boundaries in shares of the frame."""
    corners = [np.array([(p.x / 1000, p.y / 1000) for p in region.polygon], np.float64) for region in regions]
    return [enclosed(one) for one in corners]


def inside_any(points: NDArray[np.floating], shapes: Sequence[Polygon]) -> NDArray[np.bool_]:
    """Return which points [n,2], in shares, lie in at least one of the boundaries, as `polygons` returns them."""
    result = np.zeros(len(points), np.bool_)
    for polygon in shapes:
        result |= _inside(points, polygon)
    return result


def _inside(points: NDArray[np.floating], polygon: Polygon) -> NDArray[np.bool_]:
    """Return which points [n,2] lie inside a boundary, by the even-odd rule."""
    x, y = points[:, 0], points[:, 1]
    result = np.zeros(len(points), np.bool_)
    for (x1, y1), (x2, y2) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if y1 == y2:
            continue
        crosses = (y1 > y) != (y2 > y)
        result ^= crosses & (x < (x2 - x1) * (y - y1) / (y2 - y1) + x1)
    return result


class PrivacyMask:
    """Blackens the masked parts of images.

    Parameters
    ----------
    outlines
        [n,2] corners each, in shares of the frame. All that an outline encloses is masked, whatever the order of its
        corners; of one that encloses nothing, the convex hull.
    """

    def __init__(self, outlines: Sequence[NDArray[np.floating]]) -> None:
        shapes = [enclosed(outline) for outline in outlines]
        self._shapes = [shape if has_area(shape) else hull(shape) for shape in shapes]
        self._cached: dict[tuple[int, int], NDArray[np.bool_]] = {}

    def __bool__(self) -> bool:
        return bool(self._shapes)

    def blacken(self, image: NDArray[np.uint8]) -> None:
        """Blacken the masked parts of a whole frame [h,w] or [h,w,3] uint8, of any size, in place."""
        if not self._shapes:
            return
        size = image.shape[:2]
        if size not in self._cached:
            if len(self._cached) > 4:
                self._cached.clear()
            self._cached[size] = self.covered(size[1], size[0])
        image[self._cached[size]] = 0

    def covered(self, width: int, height: int) -> NDArray[np.bool_]:
        """Return the pixels [height,width] that are masked, even in part: rather too many than too few."""
        marked = np.zeros((height, width), np.bool_)
        for shape in self._shapes:
            for top in range(0, height, _BAND):
                band = marked[top : top + _BAND]
                band |= _touched(shape * (width, height) - (0, top), len(band), width)
        return marked


def _touched(boundary: NDArray[np.float64], rows: int, columns: int) -> NDArray[np.bool_]:
    """Return the cells [rows,columns] of side 1 that a boundary [k,2] encloses or touches.

    A cell is one of them when one of its corners lies inside, or when an edge runs through it: what is enclosed may be
    thinner than a cell.
    """
    ends = np.roll(boundary, -1, axis=0)
    upward = (boundary[:, 1] <= ends[:, 1])[:, None]
    upper, lower = np.where(upward, boundary, ends), np.where(upward, ends, boundary)
    corners = _corners_inside(upper, lower, rows, columns)
    either = corners[:, :-1] | corners[:, 1:]
    touched: NDArray[np.bool_] = either[:-1] | either[1:] | _crossed(upper, lower, rows, columns)
    return touched


def _corners_inside(
    upper: NDArray[np.float64], lower: NDArray[np.float64], rows: int, columns: int
) -> NDArray[np.bool_]:
    """Return which corners [rows+1,columns+1] of cells lie inside edges [k,2], by the even-odd rule."""
    y = np.arange(rows + 1)[:, None]
    row, edge = np.nonzero((upper[:, 1] <= y) & (y < lower[:, 1]))
    (x1, y1), (x2, y2) = upper[edge].T, lower[edge].T
    crossing = x1 + (x2 - x1) * (row - y1) / (y2 - y1)
    toggled = np.zeros((rows + 1, columns + 2), np.uint8)
    np.add.at(toggled, (row, np.clip(np.ceil(crossing), 0, columns + 1).astype(np.intp)), 1)
    return (np.cumsum(toggled[:, :-1], axis=1, dtype=np.uint8) & 1).astype(np.bool_)


def _crossed(upper: NDArray[np.float64], lower: NDArray[np.float64], rows: int, columns: int) -> NDArray[np.bool_]:
    """Return the cells [rows,columns] that at least one of the edges [k,2] runs through."""
    y = np.arange(rows)[:, None]
    row, edge = np.nonzero((np.floor(upper[:, 1] - _TOUCH) <= y) & (y <= np.floor(lower[:, 1] + _TOUCH)))
    (x1, y1), (x2, y2) = upper[edge].T, lower[edge].T
    level = y2 - y1 < _TOUCH
    slope = np.divide(x2 - x1, y2 - y1, out=np.zeros(len(row)), where=~level)
    # A level edge runs from end to end in its row.
    enters = np.where(level, x1, x1 + slope * (np.clip(row, y1, y2) - y1))
    leaves = np.where(level, x2, x1 + slope * (np.clip(row + 1, y1, y2) - y1))
    first = np.clip(np.floor(np.minimum(enters, leaves) - _TOUCH), 0, columns).astype(np.intp)
    after = np.clip(np.floor(np.maximum(enters, leaves) + _TOUCH) + 1, 0, columns).astype(np.intp)
    changes = np.zeros((rows, columns + 1), np.int16)
    np.add.at(changes, (row, first), 1)
    np.add.at(changes, (row, after), -1)
    crossed: NDArray[np.bool_] = np.cumsum(changes[:, :-1], axis=1, dtype=np.int16) > 0
    return crossed
