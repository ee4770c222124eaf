"""The area that an outline encloses, computed exactly: corners may be repeated or in an order in which edges cross.

Rules that fill polygons (even-odd, non-zero winding) leave parts of such outlines open. Here a point is enclosed when
no path leads from it to the outside without crossing an edge: all but the unbounded face of the outline's planar graph
(de Berg et al., Computational Geometry, 3rd edition, chapter 2.2). Rational numbers make it independent of rounding.
"""

from fractions import Fraction
from functools import partial
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray

Polygon = NDArray[np.float64]
"""[k,2] corners in shares of the frame's width and height."""

_Point = tuple[Fraction, Fraction]
_Edge = tuple[_Point, _Point]

_STEPS = 1_000_000
"""Corners are rounded to so many steps of the frame's side: exact for permille, 0.004 pixels of the widest frame."""


def enclosed(corners: NDArray[np.floating]) -> Polygon:
    """Return the boundary of all that an outline encloses.

    Parameters
    ----------
    corners
        [n,2] in shares of the frame, the last joined to the first.

    Returns
    -------
    [k,2]. The boundary crosses itself nowhere, so that every rule fills it alike; it may touch itself. An edge that
    encloses nothing is in it twice, there and back.
    """
    points = [_rounded(x, y) for x, y in corners.tolist()]
    edges = {_ordered(a, b) for a, b in zip(points, points[1:] + points[:1], strict=True) if a != b}
    if not edges:
        return np.array([[float(x), float(y)] for x, y in points[:1]], np.float64).reshape(-1, 2)
    return np.array([[float(x), float(y)] for x, y in _outer_walk(_graph(list(edges)))], np.float64)


def has_area(boundary: Polygon) -> bool:
    """Return whether a boundary, as `enclosed` returns it, encloses more than lines."""
    x, y = boundary.T
    return bool(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) > 1 / _STEPS**2)


def hull(corners: NDArray[np.floating]) -> Polygon:
    """Return the convex hull of points [n,2], by Andrew's monotone chain."""
    points = sorted({(x, y) for x, y in corners.tolist()})

    def chain(ordered: list[tuple[float, float]]) -> list[tuple[float, float]]:
        found: list[tuple[float, float]] = []
        for x, y in ordered:
            while len(found) > 1 and _turn(found[-2], found[-1], (x, y)) <= 0:
                found.pop()
            found.append((x, y))
        return found[:-1]

    return np.array(chain(points) + chain(points[::-1]) or points, np.float64).reshape(-1, 2)


def _turn(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _rounded(x: float, y: float) -> _Point:
    return Fraction(round(x * _STEPS), _STEPS), Fraction(round(y * _STEPS), _STEPS)


def _ordered(a: _Point, b: _Point) -> _Edge:
    return (a, b) if a < b else (b, a)


def _graph(edges: list[_Edge]) -> dict[_Point, set[_Point]]:
    """Return the planar graph of edges that were cut where they meet: to each node its neighbours."""
    nodes = {edge: set(edge) for edge in edges}
    for one, other in combinations(edges, 2):
        meeting = _meeting_points(one, other)
        nodes[one] |= meeting
        nodes[other] |= meeting
    graph: dict[_Point, set[_Point]] = {}
    for on_edge in nodes.values():
        for a, b in pairwise(sorted(on_edge)):
            graph.setdefault(a, set()).add(b)
            graph.setdefault(b, set()).add(a)
    return graph


def _meeting_points(one: _Edge, other: _Edge) -> set[_Point]:
    """Return the point in which two edges meet; of edges on one line, the ends of their common part."""
    (px, py), (qx, qy) = one[0], other[0]
    rx, ry = one[1][0] - px, one[1][1] - py
    sx, sy = other[1][0] - qx, other[1][1] - qy
    slant = rx * sy - ry * sx
    across = (qx - px) * ry - (qy - py) * rx
    if slant == 0:
        # The points of edges are in order, and so are those on one line.
        first, last = max(one[0], other[0]), min(one[1], other[1])
        return {end for end in one + other if first <= end <= last} if across == 0 else set()
    along, along_other = ((qx - px) * sy - (qy - py) * sx) / slant, across / slant
    if not (0 <= along <= 1 and 0 <= along_other <= 1):
        return set()
    return {(px + along * rx, py + along * ry)}


def _outer_walk(graph: dict[_Point, set[_Point]]) -> list[_Point]:
    """Return the nodes around the unbounded face: from the first one, always along the edge next to that face."""
    first = here = min(graph)
    back = first[0] - 1, first[1]
    second: _Point | None = None
    walk: list[_Point] = []
    while True:
        following = min(graph[here], key=partial(_turned, here, back))
        if here == first and following == second:
            return walk
        second = second or following
        walk.append(here)
        back, here = here, following


def _turned(at: _Point, behind: _Point, node: _Point) -> Fraction:
    """Return by how much the way to a node is turned against the way back, above 0 to 4; the way back itself is 4."""
    return (_direction(at, node) - _direction(at, behind)) % 4 or Fraction(4)


def _direction(a: _Point, b: _Point) -> Fraction:
    """Return a number from 0 to 4 that grows with the angle of the direction from one point to another."""
    x, y = b[0] - a[0], b[1] - a[1]
    share = y / (abs(x) + abs(y))
    if x < 0:
        return 2 - share
    return share if y >= 0 else 4 + share
