"""A scene becomes pictures; everything in them follows from the seed."""

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
"""Steps a second of somebody who walks at leisure."""


def compose(scene: Scene, figures: Mapping[str, Figure], seed: int) -> Iterator[NDArray[np.uint8]]:
    """Give the pictures of one loop, [360,640,3] uint8 RGB each.

    Parameters
    ----------
    figures
        By key of the person.
    seed
        The same seed gives the same pictures.
    """
    rng = np.random.default_rng([seed, *scene.name.encode()])
    backdrop = draw_backdrop(scene.name, rng)
    scene = varied(scene, rng)
    # Smaller faces are further away and are drawn first.
    walks = sorted(scene.walks, key=lambda walk: max(walk.faces))
    noise = rng.normal(0, NOISE, (HEIGHT + 64, WIDTH + 64, 1)).round().astype(np.int16)
    for frame in range(FRAMES):
        picture = backdrop.behind.copy()
        for lane in Lane:
            for walk in (walk for walk in walks if walk.lane is lane):
                share = walk.along(frame / FPS)
                if share is not None:
                    _put(picture, figures[walk.person], walk, share, backdrop)
            if lane is Lane.BACK:
                _blend(picture, backdrop.furniture, 0, 0)
        x, y = rng.integers(0, 64, 2)
        picture = np.clip(picture + noise[y : y + HEIGHT, x : x + WIDTH], 0, 255).astype(np.uint8)
        yield picture


def _put(picture: NDArray[np.uint8], figure: Figure, walk: Walk, share: float, backdrop: Backdrop) -> None:
    """Draw a walking figure at its place."""
    face = walk.face_at(share)
    sprite = figure.sprite(face)
    seconds = share * walk.seconds
    step = math.sin(2 * math.pi * STEP_HZ * seconds + walk.phase)
    ground = backdrop.edge if walk.lane is Lane.BACK else HEIGHT
    # No figure may show where its photo ends.
    y = max(walk.height, ground + 8 - sprite.below * face * 0.97) + 0.018 * face * step
    roll = 2.5 * math.sin(1.1 * seconds + walk.phase) + 0.8 * step
    turn = math.sin(0.9 * seconds + 2 * walk.phase)
    pixels, left, top = _placed(sprite, face / sprite.face_width, (walk.x_at(share), y), roll, turn)
    if pixels is not None:
        _blend(picture, _relit(pixels, walk, left), left, top)


def _placed(
    sprite: Sprite, scale: float, centre: tuple[float, float], roll: float, turn: float
) -> tuple[NDArray[np.uint8] | None, int, int]:
    """Scale, tilt and turn a figure; gives the part of it inside the picture and where that is."""
    height, width = sprite.pixels.shape[:2]
    angle = math.radians(roll)
    cos, sin = math.cos(angle) * scale, math.sin(angle) * scale
    corners = []
    for x, y in ((0, 0), (width, 0), (width, height), (0, height)):
        away = (x - sprite.face[0]) / sprite.face_width
        near = 1 + 0.045 * turn * math.tanh(away)  # what is turned towards the camera is a little larger
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


def _homography(given: Sequence[tuple[float, float]], wanted: Sequence[tuple[float, float]]) -> list[float]:
    """Find the eight coefficients that take four points to four others (Pillow's PERSPECTIVE)."""
    rows: list[list[float]] = []
    values: list[float] = []
    for (x, y), (u, v) in zip(given, wanted, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return [float(value) for value in np.linalg.solve(np.array(rows), np.array(values))]


def _relit(pixels: NDArray[np.uint8], walk: Walk, left: int) -> NDArray[np.uint8]:
    """Light a figure as the room does: by its own gain and tint, and brighter under the lamps that it passes."""
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


def _blend(picture: NDArray[np.uint8], drawn: NDArray[np.uint8], left: int, top: int) -> None:
    """Lay RGBA pixels over a part of the picture."""
    height, width = drawn.shape[:2]
    under = picture[top : top + height, left : left + width]
    base = Image.fromarray(under)
    over = Image.fromarray(drawn)
    base.paste(over, (0, 0), over)
    picture[top : top + height, left : left + width] = np.asarray(base)
