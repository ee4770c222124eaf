"""Scenes at a gate: who is where at each moment, and the frames that a camera makes of it."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.gate.people import FACE, Portrait

WIDTH, HEIGHT = 640, 360
FLOOR: Final = 150.0
"""Height of the faces in the frame, in pixels from its top."""
STAY_S: Final = 2.4
"""Seconds that each person is seen before and after the meeting."""
HIDES: Final = 0.7
"""Distance in face widths within which the nearer of two faces hides too much of the other to tell who it is."""
SPEED: Final = 110.0
"""Of a walking person, in pixels per second."""

Place = tuple[float, float, float]
"""x and y of the face's centre, and the width of the face, in pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class Visit:
    """One person in front of the camera.

    Attributes
    ----------
    place
        Returns the place at a moment in seconds; None while the person is out of view.
    nearer
        Painted over the others.
    away_s
        Seconds that the person is hidden in the middle of the visit.
    """

    name: str
    portrait: Portrait
    place: Callable[[float], Place | None]
    nearer: bool = False
    away_s: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """The visits of a scene and its length in seconds."""

    visits: Sequence[Visit]
    length: float


def same_place(first: tuple[str, Portrait], second: tuple[str, Portrait], gap: float) -> Scene:
    """Let the second stand where the first stood, `gap` seconds after the first has left."""
    change = STAY_S + gap

    def before(at: float) -> Place | None:
        return (320 + 6 * math.sin(at), FLOOR, 84) if at < STAY_S else None

    def after(at: float) -> Place | None:
        return (326 + 6 * math.sin(at), FLOOR + 4, 87) if at >= change else None

    return Scene([Visit(*first, before), Visit(*second, after)], change + STAY_S + 0.2)


def crossing(first: tuple[str, Portrait], second: tuple[str, Portrait], gap: float) -> Scene:
    """Let two people walk towards each other; where they meet, the second hides the first for `gap` seconds."""
    middle, meeting = 320.0, STAY_S

    def walk(direction: int) -> Callable[[float], Place]:
        def place(at: float) -> Place:
            if at < meeting:
                return middle - direction * SPEED * (meeting - at), FLOOR, 84
            if at < meeting + gap:
                return middle, FLOOR, 84
            return middle + direction * SPEED * (at - meeting - gap), FLOOR, 84

        return place

    towards, against = walk(1), walk(-1)

    def behind(at: float) -> Place | None:
        return None if meeting <= at < meeting + gap else towards(at)

    return Scene([Visit(*first, behind, away_s=gap), Visit(*second, against, nearer=True)], 2 * STAY_S + gap)


def hidden(first: tuple[str, Portrait], second: tuple[str, Portrait], gap: float) -> Scene:
    """Let the second step in front of the first, who stands, hide that face for `gap` seconds, and walk on."""
    middle, meeting = 320.0, STAY_S

    def stands(at: float) -> Place | None:
        return None if meeting <= at < meeting + gap else (middle, FLOOR, 78)

    def passes(at: float) -> Place | None:
        if at < meeting:
            x = middle - SPEED * 1.3 * (meeting - at)
        else:
            x = middle if at < meeting + gap else middle + SPEED * 1.3 * (at - meeting - gap)
        return (x, FLOOR + 6, 92) if 40 < x < WIDTH - 40 else None

    return Scene([Visit(*first, stands, away_s=gap), Visit(*second, passes, nearer=True)], 2 * STAY_S + gap)


def alone(person: tuple[str, Portrait], gap: float) -> Scene:
    """Let one person stay, walk a little, and turn away for `gap` seconds twice."""

    def place(at: float) -> Place | None:
        if 3.0 <= at < 3.0 + gap or 8.0 <= at < 8.0 + gap:
            return None
        return 320 + 90 * math.sin(at / 2.2), FLOOR + 8 * math.sin(at), 84 * (1 + 0.12 * math.sin(at / 3))

    return Scene([Visit(*person, place)], 13.0)


MEETINGS: Final = {"same place": same_place, "crossing": crossing, "one hides the other": hidden}


class Painter:
    """Paints the frames of a scene: light, pose, position and noise differ from frame to frame.

    Parameters
    ----------
    seed
        The same frames for the same seed.
    """

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        x = np.linspace(60, 150, WIDTH, dtype=np.float32)
        wall = np.repeat(np.tile(x, (HEIGHT, 1))[..., None], 3, axis=2)
        texture = cv2.resize(
            self._random.normal(0, 14, (HEIGHT // 12, WIDTH // 12)).astype(np.float32), (WIDTH, HEIGHT)
        )
        self._wall = wall + texture[..., None]
        self._noise = [self._random.normal(0, 3.0, (HEIGHT, WIDTH, 3)).astype(np.float32) for _ in range(4)]
        self._moods: dict[int, NDArray[np.float64]] = {}

    def frames(self, scene: Scene, fps: int) -> Iterator[tuple[float, NDArray[np.uint8], dict[int, Place]]]:
        """Yield the moment, the frame [h,w,3] uint8 RGB, and the places of visits by number (`~number`: hidden)."""
        for number in range(int(scene.length * fps)):
            at = number / fps
            frame = self._wall.copy()
            places: dict[int, Place] = {}
            order = sorted(range(len(scene.visits)), key=lambda index: scene.visits[index].nearer)
            for index in order:
                place = scene.visits[index].place(at)
                if place is not None:
                    if scene.visits[index].nearer:
                        # A negative number: too much of that face is hidden to tell who it is.
                        places = {
                            far if abs(at[0] - place[0]) > HIDES * at[2] else ~far: at for far, at in places.items()
                        }
                    places[index] = place
                    self._paint(frame, scene.visits[index].portrait, place, self._mood(index, fps))
            # Drawing new noise for each frame would take longer than all else; shifted noise is as new to the eye.
            noise = self._noise[number % len(self._noise)]
            frame += np.roll(noise, int(self._random.integers(WIDTH)), axis=1)
            yield at, np.clip(frame, 0, 255).astype(np.uint8), places

    def _mood(self, index: int, fps: int) -> NDArray[np.float64]:
        """Return the size, tilt, shear and light of a visit, in standard deviations; they change slowly."""
        keep = math.exp(-1.5 / fps)
        fresh = self._random.normal(size=6)
        before = self._moods.get(index, fresh)
        self._moods[index] = keep * before + math.sqrt(1 - keep**2) * fresh
        return self._moods[index]

    def _paint(self, frame: NDArray[np.float32], portrait: Portrait, place: Place, mood: NDArray[np.float64]) -> None:
        x, y, width = place
        scale = width / FACE * (1 + 0.03 * mood[0])
        angle = math.radians(4 * mood[1])
        narrow, shear = 1 - 0.05 * abs(mood[2]), 0.06 * mood[2]
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        matrix = scale * turn @ np.array([[narrow, 0.03 * mood[3]], [shear, 1.0]])
        goal = np.array([x, y]) + self._random.normal(0, 0.8, 2)
        shift = goal - matrix @ np.array(portrait.centre)
        affine = np.hstack([matrix, shift[:, None]]).astype(np.float32)
        reach = int(1.6 * width)
        left, top = max(int(x) - reach, 0), max(int(y) - reach, 0)
        part = frame[top : max(int(y) + reach, 0), left : max(int(x) + reach, 0)]
        if not part.size:
            return
        affine[:, 2] -= (left, top)
        size = part.shape[1::-1]
        pixels = cv2.warpAffine(portrait.pixels, affine, size, flags=cv2.INTER_AREA)
        alpha = cv2.warpAffine(portrait.alpha, affine, size)[..., None]
        light = (1 + 0.10 * mood[4]) * np.power(np.maximum(pixels, 1) / 255, 1 + 0.08 * mood[5]) * 255
        part *= 1 - alpha
        part += alpha * light
