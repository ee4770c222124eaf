import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from vigil_vision.faces import alignment


def landmarks(scale: float, turn: float, x: float, y: float) -> NDArray[np.float32]:
    """Place the template's points in an image: `scale` image pixels per crop pixel, turned by `turn` radians."""
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    placed: NDArray[np.float32] = ((alignment.ARCFACE_112 - 56) * scale @ rotation.T + [x, y]).astype(np.float32)
    return placed


@pytest.fixture(scope="module")
def image() -> NDArray[np.uint8]:
    """Make a sharp but not aliased texture of the full range, 640 x 480."""
    noise = np.random.default_rng(7).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    smooth = cv2.GaussianBlur(noise, (0, 0), 1.2)
    return np.asarray(cv2.normalize(smooth, np.empty_like(smooth), 0, 255, cv2.NORM_MINMAX), np.uint8)


@given(st.floats(0.05, 20), st.floats(-3.1, 3.1), st.floats(-500, 4000), st.floats(-500, 4000))
def test_any_similarity_is_recovered(scale: float, turn: float, x: float, y: float) -> None:
    points = landmarks(scale, turn, x, y)
    matrix = alignment.similarity_transforms(points[None])[0]
    np.testing.assert_allclose(points @ matrix[:, :2].T + matrix[:, 2], alignment.ARCFACE_112, atol=0.05)
    assert np.hypot(matrix[0, 0], matrix[1, 0]) == pytest.approx(1 / scale, rel=1e-3)


def test_the_transform_is_umeyamas_for_points_that_do_not_fit() -> None:
    """The transform equals Umeyama's, also for points that no transform fits exactly."""
    generator = np.random.default_rng(3)
    for _ in range(50):
        points = (landmarks(1.3, 0.4, 200, 150) + generator.normal(0, 6, (5, 2))).astype(np.float32)
        source, goal = points.astype(np.float64), alignment.ARCFACE_112.astype(np.float64)
        centred, goal_centred = source - source.mean(0), goal - goal.mean(0)
        u, s, vt = np.linalg.svd(goal_centred.T @ centred / 5)
        signs = np.array([1, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
        rotation = u * signs @ vt
        scale = (s * signs).sum() / centred.var(axis=0).sum()
        expected = np.column_stack([scale * rotation, goal.mean(0) - scale * rotation @ source.mean(0)])
        np.testing.assert_allclose(alignment.similarity_transforms(points[None])[0], expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("scale", "turn", "x", "y"),
    [
        (0.3, 0.0, 300, 200),
        (0.7, -0.3, 320, 240),
        (1.0, 0.0, 320, 240),
        (1.0, 0.6, 20, 20),
        (1.4, 3.0, 320, 240),
        (1.9, 1.2, 600, 470),
        (1.5, 0.2, -20, 200),
        (1.5, 0.2, 660, 200),
    ],
)
def test_a_crop_equals_opencvs_within_one_grey_level(
    image: NDArray[np.uint8], scale: float, turn: float, x: float, y: float
) -> None:
    points = landmarks(scale, turn, x, y)[None]
    matrix = alignment.similarity_transforms(points)[0]
    expected = cv2.warpAffine(image, matrix, (112, 112), flags=cv2.INTER_LINEAR, borderValue=0)
    difference = np.abs(alignment.align(image, points)[0].astype(int) - expected)
    assert difference.max() <= 2
    assert difference.mean() < 0.1


@pytest.mark.parametrize("scale", [2.0, 2.7, 5.3, 11.9, 16.4])
def test_a_large_face_is_averaged_not_sampled(scale: float) -> None:
    side = int(140 * scale)
    fine = np.random.default_rng(1).integers(0, 256, (side, side, 3), dtype=np.uint8)
    crop = alignment.align(fine, landmarks(scale, 0.1, side / 2, side / 2)[None])[0].astype(float)
    plain = cv2.warpAffine(
        fine,
        alignment.similarity_transforms(landmarks(scale, 0.1, side / 2, side / 2)[None])[0],
        (112, 112),
        flags=cv2.INTER_LINEAR,
    )
    assert crop.mean() == pytest.approx(127.5, abs=1.5)
    assert crop.std() < 0.7 * plain.std()


@pytest.mark.parametrize("scale", [2.5, 6.2])
def test_averaging_moves_nothing(scale: float) -> None:
    side = int(150 * scale)
    ramp = np.linspace(0, 255, side)
    image = np.stack([np.tile(ramp, (side, 1)), np.tile(ramp[:, None], (1, side)), np.full((side, side), 77)], 2)
    image = image.round().astype(np.uint8)
    points = landmarks(scale, 0.3, side / 2, side / 2)[None]
    matrix = alignment.similarity_transforms(points)[0]
    expected = cv2.warpAffine(image, matrix, (112, 112), flags=cv2.INTER_LINEAR)
    inside = cv2.warpAffine(np.ones((side, side), np.uint8), matrix, (112, 112)) > 0
    inside = cv2.erode(inside.astype(np.uint8), np.ones((5, 5))) > 0
    difference = np.abs(alignment.align(image, points)[0].astype(int) - expected)[inside]
    assert difference.max() <= 2


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 90),
    st.integers(1, 90),
    st.floats(0.02, 40),
    st.floats(-3, 3),
    st.floats(-300, 300),
    st.floats(-300, 300),
)
def test_a_white_image_is_cut_into_white_and_black_only(
    width: int, height: int, scale: float, turn: float, x: float, y: float
) -> None:
    """A white image is cut into white and black, wherever the face lies."""
    white = np.full((height, width, 3), 255, np.uint8)
    crop = alignment.align(white, landmarks(scale, turn, x, y)[None])[0]
    assert crop.shape == (112, 112, 3)
    assert (crop[..., 0] == crop[..., 1]).all()
    assert (crop[..., 1] == crop[..., 2]).all()


def test_many_faces_are_cut_as_if_alone(image: NDArray[np.uint8]) -> None:
    points = np.stack([landmarks(0.5, 0, 100, 100), landmarks(1.5, 1, 400, 300), landmarks(3, 0, 320, 240)])
    together = alignment.align(image, points)
    assert together.flags.c_contiguous
    for crop, one in zip(together, points, strict=True):
        np.testing.assert_array_equal(crop, alignment.align(image, one[None])[0])


def test_rows_with_padding_are_read_in_place(image: NDArray[np.uint8]) -> None:
    points = landmarks(1, 0, 200, 200)[None]
    padded = np.zeros((480, 700, 3), np.uint8)
    padded[:, :640] = image
    np.testing.assert_array_equal(alignment.align(padded[:, :640], points), alignment.align(image, points))


def test_no_faces_make_no_crops(image: NDArray[np.uint8]) -> None:
    assert alignment.align(image, np.empty((0, 5, 2), np.float32)).shape == (0, 112, 112, 3)


def test_a_face_far_outside_is_black(image: NDArray[np.uint8]) -> None:
    assert not alignment.align(image, landmarks(1, 0, 5000, 5000)[None]).any()


@pytest.mark.parametrize(
    ("points", "words"),
    [
        (np.zeros((1, 5, 2), np.float32), "all lie in one place"),
        (np.full((1, 5, 2), np.nan, np.float32), "not finite"),
        (np.zeros((5, 2), np.float32), r"\[n,5,2\] is expected"),
        (np.zeros((1, 4, 2), np.float32), r"\[n,5,2\] is expected"),
    ],
)
def test_impossible_landmarks_are_refused(image: NDArray[np.uint8], points: NDArray[np.float32], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        alignment.align(image, points)


@pytest.mark.parametrize("shape", [(10, 10), (10, 10, 4), (0, 10, 3)])
def test_an_impossible_image_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\[H,W,3\] uint8 is expected"):
        alignment.align(np.zeros(shape, np.uint8), landmarks(1, 0, 5, 5)[None])


def test_the_template_is_that_of_the_embedders_training() -> None:
    """Hold the numbers and the order: insightface, `python-package/insightface/utils/face_align.py`, `arcface_dst`."""
    published = {
        "right eye": (38.2946, 51.6963),
        "left eye": (73.5318, 51.5014),
        "nose": (56.0252, 71.7366),
        "right mouth corner": (41.5493, 92.3655),
        "left mouth corner": (70.7299, 92.2041),
    }
    np.testing.assert_array_equal(alignment.ARCFACE_112, np.array(list(published.values()), np.float32))


@pytest.mark.parametrize("scale", [1.0, 2.4, 5.0])
def test_a_face_of_any_size_is_cut_without_a_shift(scale: float) -> None:
    """On a noisy ramp of grey, one source pixel of shift is 0.35 levels in the mean, whatever the rounding of each."""
    ramp = np.linspace(16, 239, 640)
    noisy = np.rint(ramp + np.random.default_rng(5).uniform(-8, 8, (640, 640))).astype(np.uint8)
    expected = np.interp(320 + (np.arange(alignment.CROP) - 56) * scale, np.arange(640), ramp)
    for grey, truth in ((noisy, expected), (noisy.T, expected[:, None])):
        crop = alignment.align(np.repeat(grey[..., None], 3, axis=2), landmarks(scale, 0, 320, 320)[None])[0]
        assert abs(float((crop[..., 0] - truth).mean())) < 0.15
