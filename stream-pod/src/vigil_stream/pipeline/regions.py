"""Polygons in the picture: where faces count, and what must never be looked at."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vigil_contracts.resources.camera import Region

Polygon = NDArray[np.float32]
"""[k,2] corners in shares of the picture's width and height."""


def polygons(regions: Sequence[Region]) -> list[Polygon]:
    """Turn the permille of a Camera's regions into shares of the picture."""
    return [np.array([(p.x / 1000, p.y / 1000) for p in region.polygon], np.float32) for region in regions]


def inside(points: NDArray[np.float32], polygon: Polygon) -> NDArray[np.bool_]:
    """Tell which points [...,2] lie inside a polygon, by the even-odd rule; both in the same unit. [...] bool."""
    x, y = points[..., 0], points[..., 1]
    result = np.zeros(points.shape[:-1], np.bool_)
    for (x1, y1), (x2, y2) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if y1 == y2:
            continue
        crosses = (y1 > y) != (y2 > y)
        result ^= crosses & (x < (x2 - x1) * (y - y1) / (y2 - y1) + x1)
    return result


def inside_any(points: NDArray[np.float32], shapes: Sequence[Polygon]) -> NDArray[np.bool_]:
    """Tell which points [n,2], in shares, lie in at least one polygon."""
    result = np.zeros(len(points), np.bool_)
    for polygon in shapes:
        result |= inside(points, polygon)
    return result


class PrivacyMask:
    """What must be black before anything looks.

    Parameters
    ----------
    shapes
        In shares of the picture.
    """

    def __init__(self, shapes: Sequence[Polygon]) -> None:
        self._shapes = shapes
        self._cached: dict[tuple[int, int], NDArray[np.bool_]] = {}

    def __bool__(self) -> bool:
        return bool(self._shapes)

    def blacken(self, picture: NDArray[np.uint8]) -> None:
        """Blacken a whole picture [h,w] or [h,w,3] uint8 of any size in place."""
        if not self._shapes:
            return
        size = picture.shape[:2]
        if size not in self._cached:
            if len(self._cached) > 4:
                self._cached.clear()
            self._cached[size] = self._covered(0, 0, size[1], size[0], size[1], size[0])
        picture[self._cached[size]] = 0

    def blackened_part(
        self, part: NDArray[np.uint8], left: int, top: int, width: int, height: int
    ) -> NDArray[np.uint8]:
        """Give a part [h,w,3] of a picture of `width` x `height`, cut at `left`, `top`, with what must be black in it.

        The part itself stays as it is when it is not covered; else a copy is given, because a part may share memory.
        """
        rows, columns = part.shape[:2]
        if not self._shapes or not (covered := self._covered(left, top, columns, rows, width, height)).any():
            return part
        copied = part.copy()
        copied[covered] = 0
        return copied

    def _covered(self, left: int, top: int, columns: int, rows: int, width: int, height: int) -> NDArray[np.bool_]:
        """Mark [rows,columns] the pixels that are covered, even in part: a mask is rather too wide than too narrow."""
        points = np.empty((rows + 1, columns + 1, 2), np.float32)
        points[..., 0] = (np.arange(left, left + columns + 1, dtype=np.float32) / width)[None, :]
        points[..., 1] = (np.arange(top, top + rows + 1, dtype=np.float32) / height)[:, None]
        corners = np.zeros(points.shape[:2], np.bool_)
        for polygon in self._shapes:
            corners |= inside(points, polygon)
        either = corners[:, :-1] | corners[:, 1:]
        marked: NDArray[np.bool_] = either[:-1] | either[1:]
        return marked
