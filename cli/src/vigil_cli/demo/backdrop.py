"""The drawn rooms: a background behind the people, and furniture in front of those who walk at the back."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

WIDTH, HEIGHT = 640, 360
SCALE = 2
"""Drawn at twice the size and scaled down, which smooths the edges."""

Colour = tuple[int, int, int]
Pen = ImageDraw.ImageDraw


@dataclass(frozen=True, slots=True, eq=False)
class Backdrop:
    """A room.

    Attributes
    ----------
    behind
        [360,640,3] uint8 RGB.
    furniture
        [360,640,4] uint8 RGBA, in front of the back lane.
    edge
        Height of the furniture's upper edge in pixels: figures of the back lane must reach below it.
    """

    behind: NDArray[np.uint8]
    furniture: NDArray[np.uint8]
    edge: int


def draw_backdrop(name: str, rng: np.random.Generator) -> Backdrop:
    """Return a drawn room.

    Parameters
    ----------
    name
        One of `ROOMS`.
    rng
        Varies the places and tints of objects.
    """
    wall, floor, draw, furnish, edge = ROOMS[name]
    behind = Image.fromarray(_lit_wall(wall)).resize((WIDTH * SCALE, HEIGHT * SCALE))
    pen = ImageDraw.Draw(behind)
    pen.rectangle(_box(0, 232, WIDTH, HEIGHT), fill=floor)
    for number in range(12):  # the floor brightens towards the camera
        shade = _shade(floor, 0.85 + 0.03 * number)
        pen.rectangle(_box(0, 232 + number * 11, WIDTH, HEIGHT), fill=shade)
    pen.rectangle(_box(0, 224, WIDTH, 233), fill=_shade(wall, 0.6))
    draw(pen, rng)
    front = Image.new("RGBA", behind.size, (0, 0, 0, 0))
    furnish(ImageDraw.Draw(front), rng)
    soft = behind.filter(ImageFilter.GaussianBlur(2.4))  # the camera is focused on people
    small = (WIDTH, HEIGHT)
    return Backdrop(
        np.asarray(soft.resize(small, Image.Resampling.LANCZOS)),
        np.asarray(front.resize(small, Image.Resampling.LANCZOS)),
        edge,
    )


def _box(left: float, top: float, right: float, bottom: float) -> tuple[float, float, float, float]:
    return left * SCALE, top * SCALE, right * SCALE, bottom * SCALE


def _shade(colour: Colour, factor: float) -> Colour:
    red, green, blue = (min(255, round(part * factor)) for part in colour)
    return red, green, blue


def _lit_wall(colour: Colour) -> NDArray[np.uint8]:
    """Return a wall that is brighter under three lamps."""
    x, y = np.linspace(0, 1, WIDTH)[None, :], np.linspace(0, 1, HEIGHT)[:, None]
    lamps = sum(np.exp(-(((x - at) / 0.16) ** 2) - (y / 0.55) ** 2) for at in (0.2, 0.5, 0.8))
    pixels = np.array(colour)[None, None] * (0.8 + 0.26 * np.asarray(lamps)[..., None])
    return np.clip(pixels, 0, 255).astype(np.uint8)


def _window(pen: Pen, left: float, top: float, right: float, bottom: float) -> None:
    pen.rectangle(_box(left - 4, top - 4, right + 4, bottom + 4), fill=(86, 92, 98))
    for row in range(int(top * SCALE), int(bottom * SCALE)):
        share = (row / SCALE - top) / (bottom - top)
        sky = (round(142 + 70 * share), round(182 + 42 * share), round(216 + 16 * share))
        pen.line((left * SCALE, row, right * SCALE, row), fill=sky)
    middle = (left + right) / 2
    pen.rectangle(_box(middle - 1.5, top, middle + 1.5, bottom), fill=(86, 92, 98))


def _door(pen: Pen, left: float, top: float, colour: Colour) -> None:
    pen.rectangle(_box(left - 5, top - 5, left + 63, 232), fill=_shade(colour, 0.6))
    pen.rectangle(_box(left, top, left + 58, 232), fill=colour)
    pen.rectangle(_box(left + 9, top + 12, left + 49, top + 62), fill=_shade(colour, 1.18))
    pen.ellipse(_box(left + 47, 158, left + 53, 164), fill=(214, 204, 176))


def _plant(pen: Pen, x: float, foot: float, rng: np.random.Generator) -> None:
    for _ in range(30):
        dx, dy = rng.normal(0, 17), -abs(rng.normal(0, 34)) - 34
        green = (int(rng.integers(40, 80)), int(rng.integers(96, 140)), int(rng.integers(50, 84)))
        pen.line((x * SCALE, (foot - 26) * SCALE, (x + dx) * SCALE, (foot + dy) * SCALE), fill=green, width=7)
    pot = [(x - 15, foot - 30), (x + 15, foot - 30), (x + 11, foot), (x - 11, foot)]
    pen.polygon([(a * SCALE, b * SCALE) for a, b in pot], fill=(150, 100, 76))


def _painting(pen: Pen, left: float, top: float, rng: np.random.Generator) -> None:
    pen.rectangle(_box(left - 3, top - 3, left + 73, top + 51), fill=(60, 56, 52))
    pen.rectangle(_box(left, top, left + 70, top + 48), fill=(232, 228, 220))
    for _ in range(4):
        x, y, size = rng.uniform(4, 44), rng.uniform(4, 26), rng.uniform(10, 22)
        colour = tuple(int(part) for part in rng.integers(70, 210, 3))
        pen.rectangle(_box(left + x, top + y, left + x + size, top + y + size * 0.8), fill=colour)


def _lobby(pen: Pen, rng: np.random.Generator) -> None:
    for left in (42, 262, 470):
        _window(pen, left + rng.uniform(-6, 6), 34, left + 120, 150)
    _plant(pen, 214 + rng.uniform(-6, 6), 240, rng)
    _plant(pen, 616, 244, rng)


def _counter(pen: Pen, rng: np.random.Generator) -> None:
    """Draw a reception counter over the whole width."""
    wood = _shade((124, 92, 66), rng.uniform(0.92, 1.08))
    pen.rectangle(_box(0, 252, WIDTH, HEIGHT), fill=_shade(wood, 0.78))
    for left in range(-20, WIDTH, 74):
        pen.rectangle(_box(left, 268, left + 70, HEIGHT), fill=_shade(wood, 0.86))
    pen.rectangle(_box(0, 250, WIDTH, 264), fill=wood)
    pen.rectangle(_box(0, 250, WIDTH, 253), fill=_shade(wood, 1.3))


def _entrance(pen: Pen, rng: np.random.Generator) -> None:
    for left in (150, 236, 322, 408):
        _window(pen, left, 30, left + 78, 230)
    pen.rectangle(_box(146, 14, 490, 27), fill=(70, 84, 96))
    _painting(pen, 40, 70 + rng.uniform(-8, 8), rng)
    _painting(pen, 534, 66 + rng.uniform(-8, 8), rng)


def _gates(pen: Pen, rng: np.random.Generator) -> None:
    """Draw a row of turnstiles with glass between them."""
    tint = int(rng.integers(0, 14))
    pen.rectangle(_box(0, 258, WIDTH, HEIGHT), fill=(104, 120, 128 + tint))
    pen.rectangle(_box(0, 256, WIDTH, 261), fill=(206, 214, 218))
    for left in range(30, WIDTH, 145):
        pen.rectangle(_box(left, 250, left + 34, HEIGHT), fill=(126, 132, 138))
        pen.rectangle(_box(left, 250, left + 34, 258), fill=(182, 188, 192))
        pen.ellipse(_box(left + 12, 266, left + 22, 276), fill=(88, 196, 120))


def _corridor(pen: Pen, rng: np.random.Generator) -> None:
    colour = _shade((112, 128, 118), rng.uniform(0.9, 1.1))
    for left in (64, 290, 520):
        _door(pen, left, 64, colour)
    _painting(pen, 172 + rng.uniform(-6, 6), 76, rng)
    _painting(pen, 398 + rng.uniform(-6, 6), 80, rng)


def _shelf(pen: Pen, rng: np.random.Generator) -> None:
    """Draw a low shelf with books over the whole width."""
    pen.rectangle(_box(0, 256, WIDTH, HEIGHT), fill=(178, 166, 148))
    x = 6.0
    while x < WIDTH:
        width, height = rng.uniform(6, 15), rng.uniform(40, 66)
        colour = tuple(int(part) for part in rng.integers(60, 170, 3))
        pen.rectangle(_box(x, 346 - height, x + width, 346), fill=colour)
        x += width + 1 + (22 if rng.random() < 0.06 else 0)
    pen.rectangle(_box(0, 346, WIDTH, HEIGHT), fill=(150, 138, 120))
    pen.rectangle(_box(0, 252, WIDTH, 264), fill=(206, 194, 176))


Draw = Callable[[Pen, np.random.Generator], None]
ROOMS: dict[str, tuple[Colour, Colour, Draw, Draw, int]] = {
    "lobby": ((204, 198, 186), (142, 126, 108), _lobby, _counter, 252),
    "entrance": ((178, 190, 198), (112, 116, 120), _entrance, _gates, 259),
    "corridor": ((206, 200, 190), (124, 108, 96), _corridor, _shelf, 254),
}
"""Colours of wall and floor, functions that draw the wall and the furniture, and the upper edge of the furniture."""
