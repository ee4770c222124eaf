import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigil_vision import letterbox

SIDES = st.integers(1, 8192)


@pytest.mark.parametrize(
    ("source", "limit", "scaled", "padded"),
    [
        ((640, 360), (640, 640), (640, 360), (640, 384)),
        ((1920, 1080), (640, 640), (640, 360), (640, 384)),
        ((1080, 1920), (640, 640), (360, 640), (384, 640)),
        ((100, 50), (640, 640), (100, 50), (128, 64)),
        ((1, 1), (32, 32), (1, 1), (32, 32)),
        ((8000, 2), (640, 640), (640, 1), (640, 32)),
        ((640, 480), (650, 500), (640, 480), (640, 480)),
    ],
)
def test_an_image_fits_with_padding_to_a_multiple_of_32(
    source: tuple[int, int], limit: tuple[int, int], scaled: tuple[int, int], padded: tuple[int, int]
) -> None:
    box = letterbox.fit(*source, *limit)
    assert (box.scaled_width, box.scaled_height) == scaled
    assert (box.width, box.height) == padded


def test_a_fixed_input_is_filled_as_far_as_the_shape_allows() -> None:
    box = letterbox.exact(100, 50, 640, 640)
    assert (box.scaled_width, box.scaled_height, box.width, box.height) == (640, 320, 640, 640)


@pytest.mark.parametrize(
    ("source", "limit", "words"),
    [
        ((0, 10), (640, 640), "0x10 pixels cannot be analysed"),
        ((40_000, 10), (640, 640), "40000x10 pixels cannot be analysed"),
        ((10, 10), (31, 640), "31x640 pixels is too small"),
    ],
)
def test_an_impossible_size_is_refused_with_the_size(
    source: tuple[int, int], limit: tuple[int, int], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        letterbox.fit(*source, *limit)


def test_a_fixed_input_that_is_no_multiple_of_32_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 32"):
        letterbox.exact(10, 10, 100, 640)


@given(SIDES, SIDES, st.integers(32, 2048), st.integers(32, 2048), st.booleans())
def test_the_corners_of_the_input_are_those_of_the_source(
    width: int, height: int, max_width: int, max_height: int, enlarge: bool
) -> None:
    box = letterbox.fit(width, height, max_width, max_height, enlarge=enlarge)
    assert box.width % 32 == 0
    assert box.height % 32 == 0
    assert 1 <= box.scaled_width <= box.width <= max_width
    assert 1 <= box.scaled_height <= box.height <= max_height
    corners = np.array([[0, 0, width, height]], np.float32)
    there = np.array([[0, 0, box.scaled_width, box.scaled_height]], np.float32)
    np.testing.assert_allclose(box.to_source(there), corners, rtol=1e-5)


def test_landmarks_travel_like_boxes() -> None:
    box = letterbox.fit(1280, 720, 640, 640)
    points = np.array([[[10, 20], [30, 40], [1, 2], [3, 4], [5, 6]]], np.float32)
    np.testing.assert_allclose(box.to_source(points), points * 2)
