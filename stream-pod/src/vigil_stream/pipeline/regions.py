"""Polygons in the frame: regions in which detections count, and privacy masks."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vigil_contracts.resources.camera import Region

Polygon = NDArray[np.float32]
"""[k,2] corners in shares of the frame's width and height."""

_TOUCH = 1e-3
"""Pixels within which an edge counts as touching the next one: more than the error of rounding."""


def polygons(regions: Sequence[Region]) -> list[Polygon]:
    """Return the regions of a Camera, which are in permille, in shares of the frame."""
    return [np.array([(p.x / 1000, p.y / 1000) for p in region.polygon], np.float32) for region in regions]


def inside(points: NDArray[np.float32], polygon: Polygon) -> NDArray[np.bool_]:
    """Return which points [...,2] lie inside a polygon, by the even-odd rule; both in the same unit. [...] bool."""
    x, y = points[..., 0], points[..., 1]
    result = np.zeros(points.shape[:-1], np.bool_)
    for (x1, y1), (x2, y2) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if y1 == y2:
            continue
        crosses = (y1 > y) != (y2 > y)
        result ^= crosses & (x < (x2 - x1) * (y - y1) / (y2 - y1) + x1)
    return result


def inside_any(points: NDArray[np.float32], shapes: Sequence[Polygon]) -> NDArray[np.bool_]:
    """Return which points [n,2], in shares, lie in at least one polygon."""
    result = np.zeros(len(points), np.bool_)
    for polygon in shapes:
        result |= inside(points, polygon)
    return result


class PrivacyMask:
    """Blackens the masked parts of frames before any other step reads them.

    Parameters
    ----------
    shapes
        In shares of the frame.
    """

    def __init__(self, shapes: Sequence[Polygon]) -> None:
        self._shapes = shapes
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
            self._cached[size] = self._covered(0, 0, size[1], size[0], size[1], size[0])
        image[self._cached[size]] = 0

    def blackened_part(
        self, part: NDArray[np.uint8], left: int, top: int, width: int, height: int
    ) -> NDArray[np.uint8]:
        """Return a part [h,w,3] of a frame of `width` x `height`, cut at `left`, `top`, with its masked pixels black.

        A part without masked pixels is returned itself, else a copy, because a part may share memory with the frame.
        """
        rows, columns = part.shape[:2]
        if not self._shapes or not (covered := self._covered(left, top, columns, rows, width, height)).any():
            return part
        copied = part.copy()
        copied[covered] = 0
        return copied

    def _covered(self, left: int, top: int, columns: int, rows: int, width: int, height: int) -> NDArray[np.bool_]:
        """Return the mask [rows,columns] of the pixels that are covered, even in part: rather too many than too few.

        A pixel is covered when one of its corners lies inside a polygon, or when an edge of one runs through it: a
        polygon may be thinner than a pixel.
        """
        points = np.empty((rows + 1, columns + 1, 2), np.float32)
        points[..., 0] = (np.arange(left, left + columns + 1, dtype=np.float32) / width)[None, :]
        points[..., 1] = (np.arange(top, top + rows + 1, dtype=np.float32) / height)[:, None]
        corners = np.zeros(points.shape[:2], np.bool_)
        edges = np.zeros((rows, columns), np.bool_)
        for polygon in self._shapes:
            pixels = polygon.astype(np.float64) * (width, height) - (left, top)
            if (pixels.max(axis=0) < -1).any() or (pixels.min(axis=0) > (columns + 1, rows + 1)).any():
                continue
            corners |= inside(points, polygon)
            for start, end in zip(pixels, np.roll(pixels, -1, axis=0), strict=True):
                _mark_edge(edges, start, end)
        either = corners[:, :-1] | corners[:, 1:]
        marked: NDArray[np.bool_] = either[:-1] | either[1:] | edges
        return marked


def _mark_edge(cells: NDArray[np.bool_], start: NDArray[np.float64], end: NDArray[np.float64]) -> None:
    """Mark in place the cells [rows,columns] of side 1 that the line between two points (x, y) runs through."""
    (x1, y1), (x2, y2) = (start, end) if start[1] <= end[1] else (end, start)
    first, last = max(int(np.floor(y1 - _TOUCH)), 0), min(int(np.floor(y2 + _TOUCH)), len(cells) - 1)
    if first > last:
        return
    rows = np.arange(first, last + 1)
    slope = (x2 - x1) / (y2 - y1) if y2 > y1 else 0.0
    enters = x1 + slope * (np.clip(rows, y1, y2) - y1)
    leaves = x1 + slope * (np.clip(rows + 1, y1, y2) - y1)
    if y2 - y1 < _TOUCH:
        # Level: in its row it runs from end to end.
        enters, leaves = np.full(len(rows), x1), np.full(len(rows), x2)
    least = np.floor(np.minimum(enters, leaves) - _TOUCH)[:, None]
    most = np.floor(np.maximum(enters, leaves) + _TOUCH)[:, None]
    columns = np.arange(cells.shape[1])
    cells[first : last + 1] |= (columns >= least) & (columns <= most)
