"""Small faces: from which width they are found, and that their coming opens the motion gate."""

from collections.abc import Iterator

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from vigil_contracts.conditions import FitnessReason
from vigil_stream.analyses.faces.fitness import Fitness
from vigil_stream.capture.luma import LumaReader
from vigil_stream.pipeline.motion import USUAL_THRESHOLD, FrameAction, MotionGate, threshold_for_faces

WIDTH, HEIGHT, FACE = 3840, 2160, 62


def visit(shift: int) -> Iterator[NDArray[np.uint8]]:
    """Yield luma [2160,3840] of a head with shoulders that comes, moves from side to side, and goes."""
    scene = np.full((HEIGHT, WIDTH), 90, np.uint8)
    yield scene
    for n in range(6):
        image, x = scene.copy(), 1700 + shift * (n % 2)
        image[900 : 900 + FACE * 4 // 3, x : x + FACE] = 160
        image[900 + FACE * 4 // 3 : 1080, x - FACE // 2 : x + 3 * FACE // 2] = 60
        yield image
    yield scene


@pytest.mark.parametrize("shift", [20, 40])
def test_small_face_in_4k(shift: int) -> None:
    """Case small-face-in-4k: every frame of a visit is analysed, of which half were skipped."""
    gate, reader, actions = MotionGate(USUAL_THRESHOLD, duplicates=True), LumaReader(), []
    gate.fit(WIDTH, HEIGHT, 60)
    for n, luma in enumerate(visit(shift)):
        read = reader.read(av.VideoFrame.from_ndarray(luma, format="gray"))
        actions.append(gate.check(read.grey, read.fingerprint, n / 5, tracking=False).action)
    assert actions == [FrameAction.ANALYSE] * 8


@pytest.mark.parametrize(
    ("width", "height", "face", "share"),
    [
        (3840, 2160, 60, 0.00113),
        (1920, 1080, 30, 0.00113),
        (640, 360, 30, 0.004),  # faces that small cover much of it
        (1920, 1080, 100, 0.004),
    ],
)
def test_the_threshold_follows_the_smallest_face(width: int, height: int, face: int, share: float) -> None:
    assert threshold_for_faces(0.004, width, height, face) == pytest.approx(share, rel=0.01)
    assert threshold_for_faces(0.02, width, height, face) == pytest.approx(5 * share, rel=0.01)


def test_a_clock_drawn_by_the_camera_opens_no_gate() -> None:
    gate, reader = MotionGate(USUAL_THRESHOLD, duplicates=True), LumaReader()
    gate.fit(WIDTH, HEIGHT, 60)
    actions = []
    for n in range(5):
        luma = np.full((HEIGHT, WIDTH), 90, np.uint8)
        luma[40:100, 400:440] = 250 if n % 2 else 10  # the digit of the seconds
        read = reader.read(av.VideoFrame.from_ndarray(luma, format="gray"))
        actions.append(gate.check(read.grey, read.fingerprint, n / 5, tracking=False).action)
    assert actions == [FrameAction.ANALYSE] + [FrameAction.SKIP_STILL] * 4


def test_the_status_says_from_which_width_faces_are_found() -> None:
    fitness = Fitness()
    fitness.found_from = 60.0
    reason, message = fitness.assess()
    assert reason is FitnessReason.NO_FACES_YET
    assert (
        message == "0 faces seen so far; 10 are needed to assess; here, faces are found from about 60 pixels of width"
    )


@pytest.mark.parametrize(("pixels", "says"), [(45.0, True), (62.0, True), (89.0, True), (120.0, False)])
def test_the_status_names_the_limit_while_faces_are_near_it(pixels: float, says: bool) -> None:
    """Case small-face-in-4k: some faces of a visit are found, others are not."""
    fitness = Fitness()
    fitness.found_from = 60.0
    for _ in range(10):
        fitness.add_face(pixels)
    assert ("faces are found from about 60 pixels of width" in fitness.assess()[1]) == says
