"""Faces count only inside regions; what a privacy mask covers is black in every cut of the frame."""

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from vigil_contracts.resources.camera import Point, Region
from vigil_stream.pipeline import regions


def region(*points: tuple[int, int]) -> Region:
    return Region(name="r", polygon=[Point(x=x, y=y) for x, y in points])


SQUARE = regions.polygons([region((250, 250), (750, 250), (750, 750), (250, 750))])
L_SHAPE = regions.polygons([region((0, 0), (1000, 0), (1000, 500), (500, 500), (500, 1000), (0, 1000))])


@pytest.mark.parametrize(
    ("point", "square", "l_shape"),
    [
        ((0.5, 0.5), True, False),
        ((0.3, 0.3), True, True),
        ((0.1, 0.9), False, True),
        ((0.9, 0.9), False, False),
        ((0.7, 0.7), True, False),
        ((1.5, 0.5), False, False),
    ],
)
def test_points_in_polygons(point: tuple[float, float], square: bool, l_shape: bool) -> None:
    points = np.array([point], np.float32)
    assert regions.inside_any(points, SQUARE).tolist() == [square]
    assert regions.inside_any(points, L_SHAPE).tolist() == [l_shape]
    assert regions.inside_any(points, [*SQUARE, *L_SHAPE]).tolist() == [square or l_shape]


def test_a_mask_is_black_in_every_size() -> None:
    mask = regions.PrivacyMask(SQUARE)
    for size in ((36, 64, 3), (45, 80), (360, 640, 3), (7, 5)):
        image = np.full(size, 200, np.uint8)
        mask.blacken(image)
        height, width = size[:2]
        assert not image[height // 2, width // 2].any()
        assert image[0, 0].all()
        share = 1 - np.count_nonzero(image) / image.size
        assert share >= 0.25, "rather too wide than too narrow"


@pytest.mark.parametrize(
    "polygon",
    [
        [(501, 100), (502, 100), (502, 900), (501, 900)],
        [(100, 501), (900, 501), (900, 502), (100, 502)],
        [(100, 100), (900, 900), (901, 900)],
        [(903, 100), (902, 100), (97, 900)],
        [(511, 511), (512, 511), (512, 512)],
    ],
    ids=["upright", "level", "falling", "rising", "tiny"],
)
@pytest.mark.parametrize("size", [(9, 16), (45, 80), (360, 640)])
def test_a_mask_thinner_than_a_pixel_is_black(polygon: list[tuple[int, int]], size: tuple[int, int]) -> None:
    shapes = regions.polygons([region(*polygon)])
    image = np.full(size, 200, np.uint8)
    regions.PrivacyMask(shapes).blacken(image)
    corners = np.array(polygon) / 1000
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        for share in np.linspace(0, 1, 50):
            x, y = start + share * (end - start)
            assert image[int(y * size[0]), int(x * size[1])] == 0
    assert image.any()


def test_no_mask_changes_nothing() -> None:
    mask = regions.PrivacyMask([])
    image = np.full((4, 4, 3), 9, np.uint8)
    mask.blacken(image)
    assert not mask
    assert image.min() == 9


STAR = [
    (
        0.5 + 0.48 * math.cos(-math.pi / 2 + 4 * math.pi * k / 5),
        0.5 + 0.48 * math.sin(-math.pi / 2 + 4 * math.pi * k / 5),
    )
    for k in range(5)
]
TWO = [(0.2, 0.2), (0.8, 0.2), (0.8, 0.8), (0.2, 0.8)]
RING = [
    (0.1, 0.1),
    (0.9, 0.1),
    (0.9, 0.9),
    (0.1, 0.9),
    (0.1, 0.1),
    (0.3, 0.3),
    (0.3, 0.7),
    (0.7, 0.7),
    (0.7, 0.3),
    (0.3, 0.3),
]
EIGHT = [(0.1, 0.1), (0.9, 0.9), (0.9, 0.1), (0.1, 0.9)]


@pytest.mark.parametrize(
    ("outline", "black", "open_", "share"),
    [
        (STAR, [(0.5, 0.5), (0.5, 0.1), (0.3, 0.8)], [(0.5, 0.9), (0.1, 0.1)], 0.26),
        (TWO * 2, [(0.5, 0.5), (0.21, 0.79)], [(0.1, 0.5)], 0.36),
        (TWO + TWO[::-1], [(0.5, 0.5), (0.21, 0.79)], [(0.1, 0.5)], 0.36),
        (TWO * 8, [(0.5, 0.5), (0.21, 0.79)], [(0.1, 0.5)], 0.36),
        ([*TWO, TWO[0]], [(0.5, 0.5), (0.21, 0.79)], [(0.1, 0.5)], 0.36),
        ([one for one in TWO for _ in range(3)], [(0.5, 0.5), (0.21, 0.79)], [(0.1, 0.5)], 0.36),
        ([*TWO, (0.2, 0.5), (0.05, 0.5), (0.2, 0.5)], [(0.5, 0.5), (0.1, 0.5)], [(0.1, 0.6)], 0.36),
        (RING, [(0.5, 0.5), (0.2, 0.2)], [(0.05, 0.5)], 0.64),
        (EIGHT, [(0.8, 0.5), (0.2, 0.5)], [(0.5, 0.2), (0.5, 0.8)], 0.32),
        ([(0.2, 0.2), (0.8, 0.2), (0.2, 0.2), (0.2, 0.8)], [(0.3, 0.3)], [(0.7, 0.7)], 0.18),
        ([(0.2, 0.5), (0.8, 0.5), (0.4, 0.5)], [(0.3, 0.5), (0.7, 0.5)], [(0.5, 0.6)], 0.01),
        ([(0.5, 0.5)] * 3, [(0.5, 0.5)], [(0.6, 0.6)], 0.0),
    ],
    ids=[
        "star",
        "twice",
        "and back",
        "8 times",
        "closed",
        "tripled",
        "spike",
        "ring",
        "eight",
        "tree",
        "line",
        "point",
    ],
)
def test_star_mask(
    outline: list[tuple[float, float]], black: list[tuple[float, float]], open_: list[tuple[float, float]], share: float
) -> None:
    """The case star-mask: all that an outline encloses is black, in whatever order its corners come."""
    mask = regions.PrivacyMask([np.array(outline, np.float32)])
    image = np.full((300, 400, 3), 200, np.uint8)
    mask.blacken(image)
    for x, y in black:
        assert not image[int(y * 300), int(x * 400)].any(), (x, y)
    for x, y in open_:
        assert image[int(y * 300), int(x * 400)].all(), (x, y)
    assert (image == 0).mean() == pytest.approx(share, abs=0.02)
    mirrored = np.full_like(image, 200)
    regions.PrivacyMask([np.array(outline[::-1], np.float32) * (-1, 1) + (1, 0)]).blacken(mirrored)
    difference = (mirrored[:, ::-1] != image).mean()
    assert difference < 0.01, "the direction does not matter"


def test_a_face_in_the_middle_of_a_star_is_in_the_region() -> None:
    corners = [(round(1000 * x), round(1000 * y)) for x, y in STAR]
    points = np.array([(0.5, 0.5), (0.5, 0.1), (0.5, 0.9)])
    assert regions.inside_any(points, regions.polygons([region(*corners)])).tolist() == [True, True, False]
    nothing = regions.polygons([region((200, 200), (800, 200), (200, 200), (200, 800))])
    assert not regions.inside_any(points, nothing).any()


def _unreached(walk: list[tuple[int, int]], cells: int) -> NDArray[np.bool_]:
    """Return the cells [y,x] that a flood from outside does not reach, when a walk along the grid's lines is a wall."""
    walls: set[tuple[bool, int, int]] = set()
    for (x1, y1), (x2, y2) in zip(walk, walk[1:] + walk[:1], strict=True):
        walls |= {(True, min(x1, x2) + n, y1) for n in range(abs(x2 - x1))}
        walls |= {(False, x1, min(y1, y2) + n) for n in range(abs(y2 - y1))}
    reached, waiting = {(-1, -1)}, [(-1, -1)]
    while waiting:
        x, y = waiting.pop()
        ways = (
            (x - 1, y, (False, x, y)),
            (x + 1, y, (False, x + 1, y)),
            (x, y - 1, (True, x, y)),
            (x, y + 1, (True, x, y + 1)),
        )
        for *to, wall in ways:
            cell = (to[0], to[1])
            if wall not in walls and cell not in reached and all(-1 <= one <= cells for one in cell):
                reached.add(cell)
                waiting.append(cell)
    return np.array([[(x, y) not in reached for x in range(cells)] for y in range(cells)])


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=2, max_size=30))
@settings(max_examples=100, deadline=None)
def test_all_that_no_flood_reaches_is_black(steps: list[tuple[bool, int]]) -> None:
    """Outlines along a grid, which cross, double and touch themselves; a pixel that is covered in part is black."""
    walk = [(0, 0)]
    for level, target in steps:
        x, y = walk[-1]
        walk.append((target, y) if level else (x, target))
    walk.append((0, walk[-1][1]))
    enclosed = _unreached(walk, 8)
    if not enclosed.any():
        return
    mask = regions.PrivacyMask([np.array(walk) / 8])
    for side in (5, 24, 37):
        image = np.full((side, side), 200, np.uint8)
        mask.blacken(image)
        pixels, cells = np.arange(side)[:, None], np.arange(8)
        overlaps = ((pixels + 1) * 8 > cells * side) & (pixels * 8 < (cells + 1) * side)
        covered = (overlaps.astype(int) @ enclosed @ overlaps.T) > 0
        assert not image[covered].any()
        if side == 24:
            assert image[1::3, 1::3][~enclosed].all(), "what is not enclosed stays"


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=3, max_size=9), st.randoms())
@settings(max_examples=100, deadline=None)
def test_each_point_that_an_outline_winds_around_is_black(
    corners: list[tuple[int, int]], random: random.Random
) -> None:
    """Slanting edges: another definition of inside, which leaves out some of what is enclosed."""
    outline = np.array(corners) / 20
    mask = regions.PrivacyMask([outline])
    points = np.array([(random.random(), random.random()) for _ in range(200)])
    ends = np.roll(outline, -1, axis=0)
    before, after = outline[None] - points[:, None], ends[None] - points[:, None]
    cross = before[..., 0] * after[..., 1] - before[..., 1] * after[..., 0]
    turns = np.arctan2(cross, (before * after).sum(axis=2)).sum(axis=1)
    inside = points[np.abs(turns) > math.pi]
    for height, width in ((45, 80), (19, 33), (90, 160)):
        image = np.full((height, width), 200, np.uint8)
        mask.blacken(image)
        assert not image[(inside[:, 1] * height).astype(int), (inside[:, 0] * width).astype(int)].any()
