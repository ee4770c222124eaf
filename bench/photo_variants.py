"""Photos as people send them by mistake: turned, cut, with a part of the face hidden, printed or copied.

Covers are drawn along the eyes, so that they lie on a tilted head as on an upright one. Distances are in distances of
the eyes, from their middle.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Pixels = NDArray[np.uint8]
Part = tuple[float, float, float, float]
"""Left, right, top, bottom."""

TILTS: Final = (20, -20, 45, -45)
HALVES: Final = {
    "left half hidden": (-1.8, 0.0, -2.2, 3.0),
    "right half hidden": (0.0, 1.8, -2.2, 3.0),
    "upper half hidden": (-1.5, 1.5, -2.0, 0.45),
    "lower half hidden": (-1.5, 1.5, 0.5, 2.5),
}
PARTS: Final = {
    "both eyes covered": (-0.95, 0.95, -0.28, 0.28),
    "one eye covered": (0.05, 0.95, -0.3, 0.33),
    "mask over the mouth": (-0.9, 0.9, 0.65, 1.75),
}
GLASSES: Final = ((-0.92, -0.08, -0.25, 0.38), (0.08, 0.92, -0.25, 0.38))


class Cover(StrEnum):
    """The surface of a cover."""

    BLACK = "black"
    SKIN = "of the skin's colour"
    HAND = "shaded like a hand"
    HAIR = "striped like hair"


def variants(image: Pixels, landmarks: NDArray[np.float32]) -> Iterator[tuple[str, Pixels]]:
    """Yield the variants of an upright photo with the names of their rows.

    Parameters
    ----------
    landmarks
        [5,2] float32 of the face.
    """
    yield from _turned(image)
    yield from _cut(image, landmarks)
    for cover in Cover:
        surface = _surface(image, landmarks, cover)
        for name, part in (HALVES | PARTS).items():
            yield f"{name}, {cover}", _covered(image, landmarks, (part,), surface)
    yield "sunglasses", _covered(image, landmarks, GLASSES, Image.new("RGB", _size(image), (30, 30, 32)), rounded=True)
    yield from _copied(image)


def _turned(image: Pixels) -> Iterator[tuple[str, Pixels]]:
    for turns in range(4):
        yield f"turned by {90 * turns} degrees", np.ascontiguousarray(np.rot90(image, turns))
    yield "mirrored", np.ascontiguousarray(image[:, ::-1])
    for degrees in TILTS:
        tilted = Image.fromarray(image).rotate(degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=(128,) * 3)
        yield f"tilted by {abs(degrees)} degrees", np.asarray(tilted)


def _cut(image: Pixels, landmarks: NDArray[np.float32]) -> Iterator[tuple[str, Pixels]]:
    x, y = (round(float(value)) for value in landmarks[2])
    eyes = float(landmarks[:2, 1].mean())
    for part in (image[:, x:], image[:, :x]):
        yield "left or right half cut off", np.ascontiguousarray(part)
    for part in (image[round(eyes + 0.3 * (y - eyes)) :], image[:y]):
        yield "upper or lower half cut off", np.ascontiguousarray(part)


def _copied(image: Pixels) -> Iterator[tuple[str, Pixels]]:
    grey = Image.fromarray(image).convert("L")
    yield "dithered", np.asarray(grey.convert("1").convert("RGB"))
    limit = int(np.median(np.asarray(grey)))
    yield "photocopied", np.asarray(grey.point(lambda value: 255 * (value > limit)).convert("RGB"))


def _size(image: Pixels) -> tuple[int, int]:
    return image.shape[1], image.shape[0]


def _surface(image: Pixels, landmarks: NDArray[np.float32], cover: Cover) -> Image.Image:
    """Return a surface of the size of a photo."""
    random = np.random.default_rng(3)
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    distance = max(float(np.hypot(*(landmarks[1] - landmarks[0]))), 8.0)
    skin = image[int(landmarks[2][1]), int(landmarks[2][0])].astype(float)
    noise = random.normal(0, 5, (*rows.shape, 1))
    match cover:
        case Cover.BLACK:
            made = np.zeros(image.shape)
        case Cover.SKIN:
            made = np.broadcast_to(skin, image.shape)
        case Cover.HAND:
            made = skin * (0.78 + 0.22 * np.sin(columns * 2 * np.pi / (distance * 0.45)))[..., None] + noise
        case Cover.HAIR:
            strands = random.normal(45, 22, (1, rows.shape[1], 1))
            made = (strands + noise) * np.array([1.0, 0.8, 0.65])
    return Image.fromarray(np.clip(made, 0, 255).astype(np.uint8))


def _covered(
    image: Pixels,
    landmarks: NDArray[np.float32],
    parts: tuple[Part, ...],
    surface: Image.Image,
    *,
    rounded: bool = False,
) -> Pixels:
    """Return a photo with parts covered."""
    along = (landmarks[1] - landmarks[0]).astype(float)
    down, middle = np.array([-along[1], along[0]]), (landmarks[0] + landmarks[1]) / 2
    mask = Image.new("L", surface.size)
    pen = ImageDraw.Draw(mask)
    angles = np.linspace(0, 2 * np.pi, 32) if rounded else np.pi / 4 * np.array([5, 7, 1, 3])
    reach = 0.5 if rounded else 0.5 / np.cos(np.pi / 4)
    for left, right, top, bottom in parts:
        xs = (left + right) / 2 + (right - left) * reach * np.cos(angles)
        ys = (top + bottom) / 2 + (bottom - top) * reach * np.sin(angles)
        pen.polygon([tuple((middle + along * x + down * y).tolist()) for x, y in zip(xs, ys, strict=True)], fill=255)
    return np.asarray(Image.composite(surface, Image.fromarray(image), mask))
