"""The turn of a face from the scores of a detector that knows upright faces only."""

import numpy as np
import pytest
from numpy.typing import NDArray

from vigil_vision.faces import alignment, orientation
from vigil_vision.faces.model_info import DetectorInfo, EmbedderInfo
from vigil_vision.faces.models import DetectorResult, EmbedderResult
from vigil_vision.triton import InferenceResult


class BrightForehead:
    """A detector that scores each tile by how much brighter its upper part is than its lower one."""

    def __init__(self, width: int | None = None, height: int | None = None) -> None:
        self.info = DetectorInfo("d@000000000000", 0.5, 0.6, 0.4, 100, height, width)
        self.shapes: list[tuple[int, ...]] = []

    def detector_info(self) -> DetectorInfo:
        return self.info

    def embedder_info(self) -> EmbedderInfo:
        raise NotImplementedError

    def embed(self, faces: NDArray[np.uint8], *, deadline_s: float | None = None) -> EmbedderResult:
        raise NotImplementedError

    def detect(self, image: NDArray[np.uint8], *, deadline_s: float | None = None) -> DetectorResult:
        del deadline_s
        self.shapes.append(image.shape)
        rows = np.zeros((100, 15), np.float32)
        corners = [(x, y) for y in range(0, image.shape[0] - 127, 128) for x in range(0, image.shape[1] - 127, 128)]
        for row, (x, y) in zip(rows, corners, strict=False):
            tile = image[y : y + 128, x : x + 128].astype(float)
            row[:5] = x + 30, y + 30, x + 98, y + 98, 0.5 + (tile[:64].mean() - tile[64:].mean()) / 512
        return InferenceResult(rows[None], self.info, "here")


def portrait() -> NDArray[np.uint8]:
    """Make an image [448,448,3] that is bright above the middle of the template."""
    image = np.full((448, 448, 3), 30, np.uint8)
    image[:224] = 220
    return image


def turned(counter_clockwise: int) -> NDArray[np.uint8]:
    return np.ascontiguousarray(np.rot90(portrait(), counter_clockwise))


LANDMARKS = (alignment.ARCFACE_112 - 55.5 + 223.5)[None]


@pytest.mark.parametrize("size", [(None, None), (640, 640), (320, 320)], ids=["any size", "640x640", "320x320"])
@pytest.mark.parametrize("turns", range(4))
def test_a_face_is_upright_at_its_best_score(turns: int, size: tuple[int | None, int | None]) -> None:
    models = BrightForehead(*size)
    surroundings = orientation.cut_surroundings(turned(-turns), LANDMARKS)
    found = orientation.read_orientations(models, surroundings)[0]
    assert (found.turns, found.certain, found.upright) == (turns, True, turns == 0)
    assert found.image_turns(0) == turns
    assert {shape[:2] for shape in models.shapes} == {(256, 512) if size[0] is None else (size[1], size[0])}


@pytest.mark.parametrize(
    ("turns", "roll", "expected"),
    [(0, 10, 0), (0, -91, 3), (0, 92, 1), (0, 179, 2), (2, 4, 2), (2, -176, 0), (3, 95, 0), (1, -20, 1)],
)
def test_the_turn_of_the_image_adds_what_alignment_undid(turns: int, roll: float, expected: int) -> None:
    scores = [0.1, 0.1, 0.1, 0.1]
    scores[turns] = 0.9
    found = orientation.FaceOrientation((scores[0], scores[1], scores[2], scores[3]))
    assert found.image_turns(roll) == expected


def test_one_zoom_is_half_the_work() -> None:
    models = BrightForehead()
    surroundings = orientation.cut_surroundings(turned(2), LANDMARKS, orientation.ZOOMS[:1])
    assert orientation.read_orientations(models, surroundings)[0].turns == 2
    assert models.shapes == [(128, 512, 3)]


def test_a_face_without_a_score_is_not_certain() -> None:
    found = orientation.FaceOrientation((0.0, 0.0, 0.0, 0.0))
    assert not found.certain


def test_zoom_shows_more_around_the_same_centre() -> None:
    image = np.zeros((448, 448, 3), np.uint8)
    image[200:248, 200:248] = 255
    near, far = (alignment.align(image, LANDMARKS, zoom=zoom)[0] for zoom in (1.0, 2.0))
    assert (near > 128).mean() == pytest.approx(4 * (far > 128).mean(), rel=0.1)
    assert far[55, 55].tolist() == near[55, 55].tolist() == [255, 255, 255]


def test_degrees_turn_the_crop_clockwise() -> None:
    below = alignment.align(portrait(), LANDMARKS, degrees=180)[0]
    right = alignment.align(portrait(), LANDMARKS, degrees=90)[0]
    assert (below[100, 50, 0], below[10, 50, 0]) == (220, 30)
    assert (right[50, 100, 0], right[50, 10, 0]) == (220, 30)
