import numpy as np
from bench.detectors import Face, align, letterbox, scrfd_faces, unit, yunet_faces


def _maps(width: int, height: int, anchors: int, columns: int) -> list[np.ndarray]:
    return [np.zeros((height // s * (width // s) * anchors, columns), np.float32) for s in (8, 16, 32)]


def test_an_scrfd_cell_becomes_a_face_at_its_place() -> None:
    scores, boxes, points = _maps(64, 32, 2, 1), _maps(64, 32, 2, 4), _maps(64, 32, 2, 10)
    index = (1 * 4 + 2) * 2  # row 1, column 2 of stride 16, first anchor
    scores[1][index] = 0.9
    boxes[1][index] = [1, 0.5, 1, 0.5]
    points[1][index] = 0.25
    (face,) = scrfd_faces([*scores, *boxes, *points], 64)
    assert face.box.tolist() == [16, 8, 48, 24]
    assert face.landmarks[0].tolist() == [36, 20]


def test_a_yunet_cell_becomes_a_face_and_the_weaker_one_goes() -> None:
    """A YuNet cell becomes a face at its place and the weaker neighbour goes."""
    cls, obj = _maps(64, 32, 1, 1), _maps(64, 32, 1, 1)
    boxes, points = _maps(64, 32, 1, 4), _maps(64, 32, 1, 10)
    for index, score in ((4 + 2, 0.9), (4 + 3, 0.8)):
        cls[1][index] = obj[1][index] = score
    boxes[1][4 + 3] = [-1, 0, 0, 0]  # the same place, from the next cell
    (face,) = yunet_faces([*cls, *obj, *boxes, *points], 64)
    assert face.box.tolist() == [24, 8, 40, 24]
    assert face.score > 0.89


def test_an_image_is_fitted_without_being_stretched() -> None:
    boxed = letterbox(np.full((360, 640, 3), 200, np.uint8), 640, 384)
    assert boxed.shape == (384, 640, 3)
    assert boxed[:360].min() == 200
    assert boxed[360:].max() == 0


def test_an_upright_face_at_the_template_is_cut_as_it_is() -> None:
    from bench.detectors import TEMPLATE

    image = np.random.default_rng(0).integers(0, 255, (112, 112, 3), np.uint8)
    crop = align(image, Face(np.array([0, 0, 112, 112], np.float32), TEMPLATE, 1.0))
    assert np.abs(crop.astype(int) - image).mean() < 1


def test_vectors_have_length_one() -> None:
    assert np.linalg.norm(unit([[3.0, 4.0]])) == 1
    assert unit([0.0, 0.0]).tolist() == [0, 0]
