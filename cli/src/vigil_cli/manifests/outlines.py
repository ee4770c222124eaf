"""Warn of masks and regions whose corners are most likely in another order than was meant."""

from collections.abc import Iterator
from itertools import combinations, pairwise

from vigil_contracts.resources import Camera, Problem
from vigil_contracts.resources.camera import Point, Region

_Corner = tuple[int, int]


def check_outlines(camera: Camera) -> Iterator[Problem]:
    """Yield a problem for each mask and region of a Camera whose outline crosses itself or is drawn twice."""
    detection = camera.spec.detection
    lists: tuple[tuple[str, list[Region]], ...] = (
        ("privacyMasks", detection.privacy_masks),
        ("regions", detection.regions),
    )
    for name, regions in lists:
        for index, region in enumerate(regions):
            if _is_crossed(region.polygon):
                message = (
                    f"the outline of {region.name} crosses itself or meets a corner twice; all that it encloses belongs"
                    " to it; list its corners in their order around the area if another one is meant"
                )
                yield Problem(("spec", "detection", name, index, "polygon"), message)


def _is_crossed(polygon: list[Point]) -> bool:
    corners = [(point.x, point.y) for point in polygon]
    walk = [corner for corner, following in pairwise([*corners, corners[0]]) if corner != following]
    edges = list(pairwise([*walk, walk[0]]))
    return len(set(walk)) < len(walk) or any(_cross(*one, *other) for one, other in combinations(edges, 2))


def _cross(a: _Corner, b: _Corner, c: _Corner, d: _Corner) -> bool:
    """Return whether the lines from `a` to `b` and from `c` to `d` cross between their ends."""
    return _side(a, b, c) * _side(a, b, d) < 0 and _side(c, d, a) * _side(c, d, b) < 0


def _side(a: _Corner, b: _Corner, c: _Corner) -> int:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
