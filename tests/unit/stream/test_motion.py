"""The gate lets through what is worth analysing, and nothing that happened is missed for long."""

import numpy as np
import pytest
from numpy.typing import NDArray

from vigil_stream.pipeline.motion import (
    QUIET_S,
    QUIET_WHILE_TRACKING_S,
    FrameAction,
    MotionGate,
    changed_share,
    correlation,
)

RANDOM = np.random.default_rng(7)
SCENE = RANDOM.integers(0, 256, (45, 80)).astype(np.uint8)
OTHER = RANDOM.integers(0, 256, (45, 80)).astype(np.uint8)


def with_patch(share: float) -> NDArray[np.uint8]:
    image = SCENE.copy()
    count = int(image.size * share)
    image.ravel()[:count] = 255 - image.ravel()[:count]
    return image


def noisy(levels: int) -> NDArray[np.uint8]:
    return np.clip(SCENE.astype(int) + RANDOM.integers(-levels, levels + 1, SCENE.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("name", "second", "fingerprint", "action", "cut"),
    [
        ("the same frame", SCENE, 1, FrameAction.SKIP_DUPLICATE, False),
        ("only noise", noisy(5), 2, FrameAction.SKIP_STILL, False),
        ("a hundredth of it moved", with_patch(0.011), 2, FrameAction.ANALYSE, False),
        ("another scene", OTHER, 2, FrameAction.ANALYSE, True),
        ("the light went half down", (SCENE // 2).astype(np.uint8), 2, FrameAction.ANALYSE, False),
        ("another size", SCENE[:20], 2, FrameAction.ANALYSE, False),
    ],
)
def test_each_frame_gets_its_decision(
    name: str, second: NDArray[np.uint8], fingerprint: int, action: FrameAction, cut: bool
) -> None:
    gate = MotionGate(0.004, duplicates=True)
    assert gate.check(SCENE, 1, 0.0, tracking=False).action is FrameAction.ANALYSE
    decision = gate.check(second, fingerprint, 0.2, tracking=False)
    assert (decision.action, decision.cut) == (action, cut), name


def test_slow_movement_adds_up() -> None:
    gate = MotionGate(0.01, duplicates=True)
    gate.check(SCENE, 0, 0.0, tracking=False)
    actions = [gate.check(with_patch(0.003 * n), n, 0.2 * n, tracking=False).action for n in range(1, 6)]
    assert FrameAction.ANALYSE in actions
    assert actions[0] is FrameAction.SKIP_STILL


@pytest.mark.parametrize(("faces", "seconds"), [(True, QUIET_WHILE_TRACKING_S), (False, QUIET_S)])
def test_a_still_scene_is_analysed_now_and_then(faces: bool, seconds: float) -> None:
    gate = MotionGate(0.004, duplicates=True)
    gate.check(SCENE, 1, 0.0, tracking=faces)
    assert gate.check(SCENE, 1, seconds - 0.1, tracking=faces).action is not FrameAction.ANALYSE
    assert gate.check(SCENE, 1, seconds, tracking=faces).action is FrameAction.ANALYSE


def test_switched_off_everything_is_analysed() -> None:
    gate = MotionGate(None, duplicates=False)
    assert all(gate.check(SCENE, 1, t / 5, tracking=False).action is FrameAction.ANALYSE for t in range(5))


def test_without_the_gate_duplicates_are_still_left_out() -> None:
    gate = MotionGate(None, duplicates=True)
    gate.check(SCENE, 1, 0.0, tracking=False)
    assert gate.check(SCENE, 1, 0.2, tracking=False).action is FrameAction.SKIP_DUPLICATE
    assert gate.check(noisy(2), 2, 0.4, tracking=False).action is FrameAction.ANALYSE


def test_after_a_failure_the_next_frame_is_analysed() -> None:
    gate = MotionGate(0.004, duplicates=True)
    gate.check(SCENE, 1, 0.0, tracking=False)
    gate.forget()
    assert gate.check(SCENE, 1, 0.2, tracking=False).action is FrameAction.ANALYSE


def test_measures_of_change() -> None:
    assert changed_share(SCENE, SCENE) == 0
    assert correlation(SCENE, SCENE) == pytest.approx(1, abs=1e-4)
    assert correlation(SCENE, 255 - SCENE) == pytest.approx(-1, abs=1e-4)
    black = np.zeros_like(SCENE)
    assert correlation(black, SCENE) == 1, "a covered lens cannot be compared"
