"""Compose the frames of a scene; the seed determines everything in them."""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from vigil_cli.demo.backdrop import HEIGHT, WIDTH, Backdrop, draw_backdrop
from vigil_cli.demo.cutout import Figure, Sprite
from vigil_cli.demo.scene import FPS, FRAMES, Lane, Scene, Walk, varied

NOISE = 2.0
"""Standard deviation of the sensor's noise, in grey levels."""
STEP_HZ = 1.7
"""Steps per second of a person who walks slowly."""


def compose(scene: Scene, figures: Mapping[str, Figure], seed: int) -> Iterator[NDArray[np.uint8]]:
    """Yield the frames of one loop, [360,640,3] uint8 RGB each.

    Parameters
    ----------
    figures
        By key of the person.
    seed
        The same seed leads to the same frames.
    """
    rng = np.random.default_rng([seed, *scene.name.encode()])
    backdrop = draw_backdrop(scene.name, rng)
    scene = varied(scene, rng)
    # Smaller faces are further away and are drawn first.
    walks = sorted(scene.walks, key=lambda walk: max(walk.faces))
    noise = rng.normal(0, NOISE, (HEIGHT + 64, WIDTH + 64, 1)).round().astype(np.int16)
    for number in range(FRAMES):
        frame = backdrop.behind.copy()
        for lane in Lane:
            for walk in (walk for walk in walks if walk.lane is lane):
                share = walk.along(number / FPS)
                if share is not None:
                    _draw_walk(frame, figures[walk.person], walk, share, backdrop)
            if lane is Lane.BACK:
                _blend(frame, backdrop.furniture, 0, 0)
        x, y = rng.integers(0, 64, 2)
        frame = np.clip(frame + noise[y : y + HEIGHT, x : x + WIDTH], 0, 255).astype(np.uint8)
        yield frame


def _draw_walk(frame: NDArray[np.uint8], figure: Figure, walk: Walk, share: float, backdrop: Backdrop) -> None:
    """Draw a walking figure at its position."""
    face = walk.face_at(share)
    sprite = figure.sprite(face)
    seconds = share * walk.seconds
    step = math.sin(2 * math.pi * STEP_HZ * seconds + walk.phase)
    ground = backdrop.edge if walk.lane is Lane.BACK else HEIGHT
    # The lower edge of a figure must stay hidden.
    y = max(walk.height, ground + 8 - sprite.below * face * 0.97) + 0.018 * face * step
    roll = 2.5 * math.sin(1.1 * seconds + walk.phase) + 0.8 * step
    turn = math.sin(0.9 * seconds + 2 * walk.phase)
    pixels, left, top = _transformed(sprite, face / sprite.face_width, (walk.x_at(share), y), roll, turn)
    if pixels is not None:
        _blend(frame, _relit(pixels, walk, left), left, top)


def _transformed(
    sprite: Sprite, scale: float, centre: tuple[float, float], roll: float, turn: float
) -> tuple[NDArray[np.uint8] | None, int, int]:
    """Return the scaled, tilted and turned part of a figure inside the frame, with its left and top in pixels."""
    height, width = sprite.pixels.shape[:2]
    angle = math.radians(roll)
    cos, sin = math.cos(angle) * scale, math.sin(angle) * scale
    corners = []
    for x, y in ((0, 0), (width, 0), (width, height), (0, height)):
        away = (x - sprite.face[0]) / sprite.face_width
        near = 1 + 0.045 * turn * math.tanh(away)  # the side towards the camera is a little larger
        dx, dy = (x - sprite.face[0]) * (1 - 0.04 * abs(turn)), (y - sprite.face[1]) * near
        corners.append((centre[0] + dx * cos - dy * sin, centre[1] + dx * sin + dy * cos))
    xs, ys = [x for x, _ in corners], [y for _, y in corners]
    left, right = max(0, math.floor(min(xs))), min(WIDTH, math.ceil(max(xs)))
    top, bottom = max(0, math.floor(min(ys))), min(HEIGHT, math.ceil(max(ys)))
    if right <= left or bottom <= top:
        return None, 0, 0
    there = [(x - left, y - top) for x, y in corners]
    source = [(0.0, 0.0), (float(width), 0.0), (float(width), float(height)), (0.0, float(height))]
    drawn = Image.fromarray(sprite.pixels).transform(
        (right - left, bottom - top), Image.Transform.PERSPECTIVE, _homography(there, source), Image.Resampling.BICUBIC
    )
    return np.asarray(drawn), left, top


def _homography(points: Sequence[tuple[float, float]], targets: Sequence[tuple[float, float]]) -> list[float]:
    """Return the eight coefficients that map four points to four others (Pillow's PERSPECTIVE)."""
    rows: list[list[float]] = []
    values: list[float] = []
    for (x, y), (u, v) in zip(points, targets, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return [float(value) for value in np.linalg.solve(np.array(rows), np.array(values))]


def _relit(pixels: NDArray[np.uint8], walk: Walk, left: int) -> NDArray[np.uint8]:
    """Return a figure in the light of the room: with its gain and tint, and brighter under the lamps."""
    x = (left + np.arange(pixels.shape[1], dtype=np.float32)) / WIDTH
    lamps = 0.94 + 0.1 * np.cos(2 * math.pi * (x - 0.2) / 0.3)
    tint = np.array([1 + walk.warmth, 1.0, 1 - walk.warmth], np.float32) * walk.gain
    light = np.minimum(lamps[:, None] * tint[None], 2) * 128
    lit = pixels.copy()
    colours = (pixels[..., :3].astype(np.uint16) * light.astype(np.uint16)[None]) >> 7
    lit[..., :3] = np.minimum(colours, 255)
    if walk.blur > 0.15:
        lit = np.asarray(Image.fromarray(lit).filter(ImageFilter.GaussianBlur(walk.blur)))
    return lit


def _blend(frame: NDArray[np.uint8], drawn: NDArray[np.uint8], left: int, top: int) -> None:
    """Blend RGBA pixels into a part of the frame."""
    height, width = drawn.shape[:2]
    under = frame[top : top + height, left : left + width]
    base = Image.fromarray(under)
    over = Image.fromarray(drawn)
    base.paste(over, (0, 0), over)
    frame[top : top + height, left : left + width] = np.asarray(base)
