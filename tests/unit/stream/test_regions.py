"""Faces count only inside regions; what a privacy mask covers is black in every cut of the frame."""

import numpy as np
import pytest

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
    expected = image[2:7, 3:13]
    part = np.full((5, 10, 3), 200, np.uint8)
    found = regions.PrivacyMask(shapes).blackened_part(part, 3, 2, size[1], size[0])
    np.testing.assert_array_equal(found[..., 0], expected)


def test_a_part_is_black_where_the_whole_is() -> None:
    mask = regions.PrivacyMask(L_SHAPE)
    whole = np.full((90, 160, 3), 99, np.uint8)
    expected = whole.copy()
    mask.blacken(expected)
    part = mask.blackened_part(whole[20:70, 40:140], 40, 20, 160, 90)
    np.testing.assert_array_equal(part, expected[20:70, 40:140])
    assert whole.min() == 99, "the frame itself belongs to the decoder"


def test_no_mask_changes_nothing() -> None:
    mask = regions.PrivacyMask([])
    image = np.full((4, 4, 3), 9, np.uint8)
    mask.blacken(image)
    assert not mask
    assert image.min() == 9
    assert mask.blackened_part(image, 0, 0, 4, 4) is image
