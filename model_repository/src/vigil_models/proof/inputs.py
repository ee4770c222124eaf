"""Images to prove with: noise, which excites all weights; a drawn scene, smooth like a photo; and photos, if given."""

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]


def noise(height: int, width: int, seed: int) -> Image:
    """Make [height,width,3] uint8 of independent values, the same for the same seed."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def scene(height: int, width: int, seed: int) -> Image:
    """Draw [height,width,3] uint8: a shaded wall with a few faces on it, the same for the same seed."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    image = np.stack([90 + 80 * x / width, 110 + 60 * y / height, 150 - 50 * x / width], axis=-1)
    radius = max(6.0, min(height, width) / 6)
    for _ in range(4):
        centre = rng.uniform([0, 0], [height, width])
        _draw_face(image, x - np.float32(centre[1]), y - np.float32(centre[0]), radius * rng.uniform(0.4, 1.2), rng)
    image += rng.normal(0, 3, image.shape)
    clipped: NDArray[np.float32] = np.clip(image, 0, 255)
    return clipped.astype(np.uint8)


def _draw_face(
    image: NDArray[np.float32],
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    radius: float,
    rng: np.random.Generator,
) -> None:
    skin = np.array([205, 160, 135]) * rng.uniform(0.5, 1.1)
    head = (x / radius) ** 2 + (y / (1.3 * radius)) ** 2
    image[head < 1] = (skin * (1.1 - 0.3 * head[..., None]))[head < 1]
    for side in (-0.38, 0.38):
        eye = ((x / radius - side) / 0.2) ** 2 + ((y / radius + 0.25) / 0.1) ** 2
        image[eye < 1] = 40
    nose = (np.abs(x / radius) < 0.07) & (np.abs(y / radius - 0.1) < 0.25)
    image[nose] *= 0.75
    mouth = ((x / radius) / 0.4) ** 2 + ((y / radius - 0.65) / 0.09) ** 2
    image[mouth < 1] = (150, 60, 60)


def fit(photo: Image, height: int, width: int) -> Image:
    """Resize a photo to [height,width,3]: pixels skipped, then repeated to fill, which is enough for a proof."""
    step = max(1, min(photo.shape[0] // height, photo.shape[1] // width))
    small = photo[::step, ::step]
    repeats = (-(-height // small.shape[0]), -(-width // small.shape[1]), 1)
    return np.ascontiguousarray(np.tile(small, repeats)[:height, :width])
