"""The walks of people through the scenes: the ground truth of the demo."""

from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np

from vigil_cli.demo.backdrop import WIDTH

FPS = 15
SECONDS = 22
FRAMES = FPS * SECONDS
"""A loop starts and ends without a person in the frame, so that it can be repeated."""


class Lane(StrEnum):
    """The lane of a walk: at the back, behind the furniture, or in front of it."""

    BACK = "back"
    FRONT = "front"


@dataclass(frozen=True, slots=True)
class Walk:
    """One person crossing the frame once.

    Attributes
    ----------
    person
        Key of `people.PEOPLE`.
    start, seconds
        Start and duration in seconds of the loop.
    faces
        Width of the face in pixels at the beginning and at the end.
    leftward
        From right to left.
    height
        Pixels from the top to the centre of the face; lower where the figure does not reach down to the furniture.
    gain, warmth
        Light: factor, and more red than blue by this share.
    blur
        Gaussian radius in pixels.
    phase
        Of sway and turn, in radians.
    """

    person: str
    lane: Lane
    start: float
    seconds: float
    faces: tuple[float, float]
    leftward: bool = False
    height: float = 130.0
    gain: float = 1.0
    warmth: float = 0.0
    blur: float = 0.0
    phase: float = 0.0

    def along(self, seconds: float) -> float | None:
        """Return the share of the way at a time of the loop; None before and after."""
        share = (seconds - self.start) / self.seconds
        return share if 0 <= share < 1 else None

    def face_at(self, share: float) -> float:
        """Return the width of the face on the way, in pixels."""
        return self.faces[0] + (self.faces[1] - self.faces[0]) * share

    def x_at(self, share: float) -> float:
        """Return the face's centre on the way, in pixels; outside the frame at both ends."""
        margin = 1.6 * max(self.faces)
        x = -margin + share * (WIDTH + 2 * margin)
        return WIDTH - x if self.leftward else x


@dataclass(frozen=True, slots=True)
class Scene:
    """The scene of one camera.

    Attributes
    ----------
    name
        The name of the camera and of its room.
    """

    name: str
    walks: tuple[Walk, ...] = field(default=())

    @property
    def people(self) -> frozenset[str]:
        """Keys of the people in the scene."""
        return frozenset(walk.person for walk in self.walks)


BACK, FRONT = Lane.BACK, Lane.FRONT
SCENES = (
    Scene(
        "lobby",
        (
            Walk("emmanuel-macron", FRONT, 0.4, 8.0, (104, 118)),
            Walk("barack-obama", BACK, 3.2, 9.0, (66, 78), leftward=True),
            Walk("eileen-collins", FRONT, 8.6, 8.0, (92, 108), leftward=True),
            Walk("emmanuel-macron", BACK, 12.4, 8.6, (74, 66)),
        ),
    ),
    Scene(
        "entrance",
        (
            Walk("jacinda-ardern", FRONT, 0.5, 8.0, (92, 132), leftward=True),
            Walk("rishi-sunak", BACK, 2.6, 9.0, (64, 76)),
            Walk("grace-hopper", FRONT, 9.0, 8.2, (96, 116)),
            Walk("rishi-sunak", BACK, 12.6, 8.4, (76, 68), leftward=True),
        ),
    ),
    Scene(
        "corridor",
        (
            Walk("grace-hopper", BACK, 0.4, 8.4, (72, 80)),
            Walk("barack-obama", FRONT, 3.6, 8.0, (100, 120), leftward=True),
            Walk("jacinda-ardern", BACK, 9.4, 8.6, (66, 78)),
            Walk("eileen-collins", FRONT, 12.8, 8.4, (90, 110)),
        ),
    ),
)


def varied(scene: Scene, rng: np.random.Generator) -> Scene:
    """Return a variation of a scene with the same people."""
    return replace(scene, walks=tuple(_varied(walk, rng) for walk in scene.walks))


def _varied(walk: Walk, rng: np.random.Generator) -> Walk:
    return replace(
        walk,
        start=walk.start + rng.uniform(-0.3, 0.3),
        seconds=walk.seconds + rng.uniform(-0.4, 0.4),
        faces=(walk.faces[0] * rng.uniform(0.96, 1.06), walk.faces[1] * rng.uniform(0.96, 1.06)),
        height=walk.height + rng.uniform(-12, 12),
        gain=rng.uniform(0.8, 1.08),
        warmth=rng.uniform(-0.08, 0.1),
        blur=rng.uniform(0.0, 0.7),
        phase=rng.uniform(0, 6.28),
    )
