"""Alignment: five landmarks to the ArcFace template, and a fast bilinear warp of the face to 112x112 in pure NumPy.

The warp packs the three channels of a pixel into one 64-bit integer with lanes of 21 bits. Interpolation weights are
integers that sum to 2**13, so 255 * 2**13 fits a lane, and four multiplications interpolate all channels at once.
That spares a stream pod the memory of OpenCV.

A face much larger than 112 pixels is first averaged over whole blocks of pixels: a bilinear sample reads only four
neighbours, so without that it would skip pixels and alias.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

CROP = 112
"""Side of an aligned crop in pixels."""

ARCFACE_112: NDArray[np.float32] = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]], np.float32
)
"""Where the five landmarks lie in an aligned crop; insightface `utils/face_align.py`, `arcface_dst`."""


MAX_BLOCK = 16
"""Largest block side that is averaged: 16 * 16 * 255.5 still fits 16 bits. Beyond it, at faces of 2000 pixels, a photo
is soft enough that skipping pixels does no harm."""

_WEIGHT_BITS = 13
_WEIGHT_ONE = 1 << _WEIGHT_BITS
_HALF_IN_EACH_LANE = np.uint64(sum((_WEIGHT_ONE // 2) << lane for lane in (0, 21, 42)))
_CENTRE = np.float32((CROP - 1) / 2)
_RAMP = np.arange(CROP, dtype=np.float64)


class _Patch(NamedTuple):
    """The part of an image that a crop reads, packed, in a black frame: one pixel, two at the right and the bottom."""

    packed: NDArray[np.uint64]
    left: int
    top: int
    block: int


def similarity_transforms(
    landmarks: NDArray[np.float32], template: NDArray[np.float32] = ARCFACE_112
) -> NDArray[np.float32]:
    """Find, for each face, the rotation, uniform scale and shift that bring its landmarks nearest to the template.

    Least squares after Umeyama, "Least-squares estimation of transformation parameters between two point patterns",
    IEEE PAMI 13(4), 1991. In the plane, with points as complex numbers, it is one division instead of a singular value
    decomposition.

    Parameters
    ----------
    landmarks
        [n,k,2] float32 in image pixels; k is 5 for the ArcFace template.
    template
        [k,2] float32, where they should go.

    Returns
    -------
    [n,2,3] float32: `crop = M[:, :2] @ image + M[:, 2]`.

    Raises
    ------
    ValueError
        When the shape does not fit, a coordinate is not finite, or all points of a face coincide.
    """
    turns, shifts = _solve(landmarks, template)
    matrices = np.empty((len(turns), 2, 3), np.float32)
    matrices[:, 0, 0] = matrices[:, 1, 1] = turns.real
    matrices[:, 1, 0] = turns.imag
    matrices[:, 0, 1] = -turns.imag
    matrices[:, 0, 2] = shifts.real
    matrices[:, 1, 2] = shifts.imag
    return matrices


def align(
    image: NDArray[np.uint8], landmarks: NDArray[np.float32], *, zoom: float = 1.0, degrees: float = 0.0
) -> NDArray[np.uint8]:
    """Cut faces out of an image, turned and scaled onto the ArcFace template.

    Parameters
    ----------
    image
        [H,W,3] uint8 RGB, any strides.
    landmarks
        [n,5,2] float32 in pixels of that image; may lie outside of it.
    zoom
        Above 1, the crop shows the surroundings too: a square of so many sides of the template's, around the same
        centre, at a smaller scale.
    degrees
        The crop is turned further clockwise by this.

    Returns
    -------
    [n,112,112,3] uint8 RGB, contiguous; what lies outside the image is black, as in the embedders' training.

    Raises
    ------
    ValueError
        As `similarity_transforms`, or when the image is not [H,W,3] uint8.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        msg = f"an image of shape {list(image.shape)}, {image.dtype}, cannot be aligned; [H,W,3] uint8 is expected"
        raise ValueError(msg)
    turns, shifts = _solve(landmarks, _template(zoom, degrees))
    crops = np.empty((len(turns), CROP, CROP, 3), np.uint8)
    for crop, turn, shift in zip(crops, turns, shifts, strict=True):
        back = 1 / turn
        _warp(image, complex(back), complex(-shift * back), crop)
    return crops


def _template(zoom: float, degrees: float) -> NDArray[np.float32]:
    angle = np.radians(degrees)
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    template: NDArray[np.float32] = ((ARCFACE_112 - _CENTRE) @ rotation / zoom + _CENTRE).astype(np.float32)
    return template


def _solve(
    landmarks: NDArray[np.float32], template: NDArray[np.float32]
) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """Solve `template = turn * landmarks + shift` with points as complex numbers, per face."""
    if landmarks.ndim != 3 or landmarks.shape[1:] != template.shape:
        msg = f"landmarks of shape {list(landmarks.shape)} cannot be aligned; [n,{len(template)},2] is expected"
        raise ValueError(msg)
    if not np.isfinite(landmarks).all():
        msg = "landmarks that are not finite cannot be aligned"
        raise ValueError(msg)
    points = landmarks[..., 0].astype(np.float64) + 1j * landmarks[..., 1]
    goal = template[:, 0].astype(np.float64) + 1j * template[:, 1]
    centres, goal_centre = points.mean(axis=1), goal.mean()
    centred = points - centres[:, None]
    spread = (centred.real**2 + centred.imag**2).sum(axis=1)
    turns = (centred.conj() * (goal - goal_centre)).sum(axis=1)
    # Points that all lie within a hundredth of a pixel, or in an order that fits no rotation, define no transform.
    if (spread < 1e-4).any() or (np.abs(turns) < 1e-3).any():
        msg = "landmarks that all lie in one place, or mirror the template, cannot be aligned"
        raise ValueError(msg)
    turns /= spread
    return turns, goal_centre - turns * centres


def _warp(image: NDArray[np.uint8], back: complex, origin: complex, out: NDArray[np.uint8]) -> None:
    """Fill one crop [112,112,3]: the crop's point (u, v) shows the image at `back * (u + iv) + origin`."""
    patch = _cut(image, back, origin)
    if patch is None:
        out[:] = 0
        return
    packed, block = patch.packed, patch.block
    # In the patch's own pixels; +1 for the black frame, and a block's centre lies half a block in.
    x = _RAMP * (back.real / block) - (_RAMP * (back.imag / block))[:, None]
    x += (origin.real - patch.left + 0.5) / block + 0.5
    y = _RAMP * (back.imag / block) + (_RAMP * (back.real / block))[:, None]
    y += (origin.imag - patch.top + 0.5) / block + 0.5
    height, width = packed.shape
    np.clip(x, 0, width - 2, out=x)
    np.clip(y, 0, height - 2, out=y)
    _unpack(_interpolate(packed, x, y), out)


def _cut(image: NDArray[np.uint8], back: complex, origin: complex) -> _Patch | None:
    """Return the part of the image that a crop reads; None when it lies wholly outside."""
    height, width = image.shape[:2]
    corners = np.array([0, CROP - 1, (CROP - 1) * 1j, (CROP - 1) * (1 + 1j)]) * back + origin
    block = int(min(max(abs(back), 1), MAX_BLOCK))
    left = max(int(corners.real.min()) - block - 1, 0)
    top = max(int(corners.imag.min()) - block - 1, 0)
    right = min(int(corners.real.max()) + block + 2, width)
    bottom = min(int(corners.imag.max()) + block + 2, height)
    if right <= left or bottom <= top:
        return None
    pixels = image[top:bottom, left:right]
    if block > 1:
        pixels = _average_blocks(pixels, block)
        if not pixels.size:
            return None
    packed = np.zeros((pixels.shape[0] + 3, pixels.shape[1] + 3), np.uint64)
    inner = packed[1:-2, 1:-2]
    for channel in (2, 1, 0):
        inner <<= np.uint64(21)
        inner |= pixels[..., channel]
    return _Patch(packed, left, top, block)


def _average_blocks(pixels: NDArray[np.uint8], block: int) -> NDArray[np.uint8]:
    """Average [H,W,3] over blocks of block x block pixels; what is left over at the right and the bottom is dropped."""
    height, width = pixels.shape[0] // block, pixels.shape[1] // block
    whole = pixels[: height * block, : width * block]
    rows = np.zeros((height, width * block, 3), np.uint16)
    for offset in range(block):
        rows += whole[offset::block]
    sums = np.full((height, width, 3), block * block // 2, np.uint16)
    for offset in range(block):
        sums += rows[:, offset::block]
    return (sums // np.uint16(block * block)).astype(np.uint8)


def _interpolate(packed: NDArray[np.uint64], x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.uint64]:
    """Sample packed pixels at x, y [112,112], rounded, still packed."""
    left, top = x.astype(np.intp), y.astype(np.intp)
    x -= left
    y -= top
    both = np.rint(x * y * _WEIGHT_ONE).astype(np.uint64)
    to_right = np.rint(x * _WEIGHT_ONE).astype(np.uint64) - both
    down = np.rint(y * _WEIGHT_ONE).astype(np.uint64) - both
    # Rounding can make the three others exceed the whole by one; a lane has room for that, not for a negative weight.
    stay = np.uint64(_WEIGHT_ONE) - np.minimum(to_right + down + both, np.uint64(_WEIGHT_ONE))
    stride = packed.shape[1]
    index = top * stride + left
    flat = packed.ravel()
    total: NDArray[np.uint64] = flat.take(index) * stay
    total += flat[1:].take(index) * to_right
    total += flat[stride:].take(index) * down
    total += flat[stride + 1 :].take(index) * both
    total += _HALF_IN_EACH_LANE
    return total


def _unpack(total: NDArray[np.uint64], out: NDArray[np.uint8]) -> None:
    for channel in range(3):
        np.copyto(out[..., channel], total >> np.uint64(21 * channel + _WEIGHT_BITS), casting="unsafe")
