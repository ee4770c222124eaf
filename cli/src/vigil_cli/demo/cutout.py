"""Figures that can be moved: head and shoulders, cut out of a photo along their outline, at several sizes."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from vigil_cli.demo.people import Crop, Person

FACES = (150, 112, 84, 63)
"""Widths of the face of the stored sizes, in pixels. A walk scales down from the next larger size, which is cheap and
without aliasing."""

SOFT = 0.02
"""Softness of a figure's edge, as a share of the face's width."""


@dataclass(frozen=True, slots=True, eq=False)
class Sprite:
    """A figure at one size.

    Attributes
    ----------
    pixels
        RGBA, [h,w,4] uint8.
    face
        Centre of the face in it, x and y in pixels.
    face_width
        In pixels.
    """

    pixels: NDArray[np.uint8]
    face: tuple[float, float]
    face_width: float

    @property
    def below(self) -> float:
        """How far the figure reaches below the centre of its face, in widths of the face."""
        return (len(self.pixels) - self.face[1]) / self.face_width


@dataclass(frozen=True, slots=True, eq=False)
class Figure:
    """A person cut out, at all of `FACES`, the largest first."""

    sprites: tuple[Sprite, ...]

    def sprite(self, face_width: float) -> Sprite:
        """Return the smallest sprite that needs no enlarging."""
        fitting = [sprite for sprite in self.sprites if sprite.face_width >= face_width]
        return fitting[-1] if fitting else self.sprites[0]


def cut_out(person: Person, photo: Image.Image) -> Figure:
    """Return a person, cut out of the photo that the cameras show.

    Parameters
    ----------
    photo
        RGB, as published: outline and face are in its pixels.
    """
    left, top, right, bottom = person.face
    xs, ys = [x for x, _ in person.outline], [y for _, y in person.outline]
    box = (min(xs), min(ys), max(xs) + 1, max(ys) + 1)
    cut = photo.convert("RGB").crop(box)
    cut.putalpha(_mask(person, box))
    centre = ((left + right) / 2 - box[0], (top + bottom) / 2 - box[1])
    sprites = []
    for width in FACES:
        scale = width / (right - left)
        size = (round(cut.width * scale), round(cut.height * scale))
        small = cut.resize(size, Image.Resampling.LANCZOS)
        sprites.append(Sprite(np.asarray(small), (centre[0] * scale, centre[1] * scale), width))
    return Figure(tuple(sprites))


def _mask(person: Person, box: tuple[int, int, int, int]) -> Image.Image:
    """Return the mask of an outline, with rounded corners and a soft inner edge, so that no background is visible."""
    width = person.face[2] - person.face[0]
    size = (box[2] - box[0], box[3] - box[1])
    mask = Image.new("L", size, 0)
    outline = [(x - box[0], y - box[1]) for x, y in person.outline]
    ImageDraw.Draw(mask).polygon(outline, fill=255)
    rounded = mask.filter(ImageFilter.GaussianBlur(2.5 * SOFT * width)).point(lambda value: 255 * (value > 140))
    soft = np.asarray(rounded.filter(ImageFilter.GaussianBlur(SOFT * width)), np.float32)
    return Image.fromarray(np.clip((soft - 90) * (255 / 165), 0, 255).astype(np.uint8))


def enrolment_photo(person: Person, paths: dict[str, Path]) -> bytes:
    """Return the bytes of the photo for enrolment, which always differs from the one that the cameras show.

    Raises
    ------
    ValueError
        The person is not enrolled.
    """
    source = person.enrolled_from
    if source is None:
        msg = f"{person.name} is not enrolled"
        raise ValueError(msg)
    if not isinstance(source, Crop):
        return paths[source.name].read_bytes()
    photo = Image.open(paths[person.shown.name]).convert("RGB")
    turned = photo.rotate(source.degrees, Image.Resampling.BICUBIC, center=_middle(source)).crop(source.box)
    light = np.asarray(turned, np.float32) / 255
    relit = np.clip(light**source.gamma * np.array(source.gains, np.float32) * 255, 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(relit).save(file, "JPEG", quality=88)
    return file.getvalue()


def _middle(crop: Crop) -> tuple[float, float]:
    left, top, right, bottom = crop.box
    return (left + right) / 2, (top + bottom) / 2
