"""Hidden parts of the face in a photo, and grain, as embedder and detector show them.

Parts are cut off by the image's edge, covered, or turned away.

The contribution of a part to the embedding is measured by hiding that part: the embedding of a face hardly changes
when eyes are hidden that a bar, sunglasses or a hand hid already, and it changes much when they were visible. Where the
cover is plain, the lack of detail in it shows the same. Embedders differ in how much they use a part, so the detector
is asked as well: it finds no face in a hidden half beside its own mirror image, nor where only hidden parts are left
to see. The limits lie beyond every one of 59 photos of about 40 people, with YuNet and SFace as with SCRFD-2.5G and
MobileFaceNet (bench/findings/photos.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vigil_vision.faces import alignment
from vigil_vision.faces.alignment import CROP

MAX_OUTSIDE = 0.10
"""Share of the face outside of the image; whole faces have none, halves at least 0.27."""

MAX_EYES = 0.33
"""Least value of covered eyes: similarity after hiding them less `EYE_DETAIL` times their detail. Visible ones reach
0.29."""

EYE_DETAIL = 0.35
MAX_MOUTH = 0.97
"""Similarity after the mouth is blurred. Visible mouths reach 0.96 with SFace and 0.90 with MobileFaceNet."""

MIN_MOUTH_DETAIL = 0.55
"""Detail of the mouth and chin; visible ones have at least 0.67."""

MIN_STEADY = 0.88
"""Similarity after a slight blur. Photos keep 0.92, noisy ones 0.89; copies of few colours or of a screen lose more."""

MAX_ONE_SIDED = 0.75
"""Difference of what the two halves of the face contribute; whole faces reach 0.63 with SFace, and with MobileFaceNet
0.57 but for one turned and tilted head at 0.87. Halves have 1.1 in the middle."""

MIN_HALF_SCORE = 0.4
"""The detector's score of a half beside its own mirror image; whole portraits have at least 0.72. Hidden halves have at
most 0.32 with SCRFD-2.5G, and with YuNet 96 % of them are below."""

DOUBTFUL_EYES, MIN_EYES_SCORE = 0.15, 0.55
"""Eyes are covered also when both are missed: `eyes` above the first, and the score of the upper half alone below the
second, where visible ones have at least 0.57."""

DOUBTFUL_MOUTH, MIN_MOUTH_SCORE = 0.9, 0.2
"""A mouth is covered also when both are missed: `mouth` above the first, and the score of the lower half alone below
the second, where visible ones have at least 0.38."""

HIDDEN_EYES_SCORE, HIDDEN_MOUTH_SCORE = 0.3, 0.1
"""Scores of the upper and of the lower half alone below which they are hidden, whatever the embedding shows."""

_FACE = (slice(24, 104), slice(20, 92))
_UPPER, _LOWER = (slice(0, 66), slice(0, CROP)), (slice(68, CROP), slice(0, CROP))
_EYES, _MOUTH = (slice(34, 70), slice(14, 98)), (slice(78, 108), slice(24, 88))
_EYE_PATCHES = ((slice(45, 60), slice(27, 50)), (slice(45, 60), slice(63, 86)))
_MOUTH_PATCH = (slice(78, 106), slice(30, 82))
_LEFT, _RIGHT = (slice(0, CROP), slice(0, CROP // 2)), (slice(0, CROP), slice(CROP // 2, CROP))
_BLUR, _EDGE, _FINE, _COARSE = 10.0, 2.0, 1.0, 4.0
"""Standard deviations in pixels: of a hidden part, of its border, and of the band in which detail is measured."""

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True, slots=True)
class Occlusion:
    """Measurements of what hides a face.

    Attributes
    ----------
    outside
        Share of the face outside of the image, 0 to 1.
    eyes
        From about -0.5 (visible) to 1 (covered).
    mouth, mouth_detail
        Similarity after the mouth is blurred; detail around it, 1 for as much as in the whole face.
    one_sided
        0 (both halves contribute equally) to 2.
    steady
        Similarity after a slight blur.
    half_score
        The detector's score, 0 to 1, of the worse half of the face beside its own mirror image.
    eyes_score, mouth_score
        The detector's score, 0 to 1, of the face without its lower half, and without its upper half.
    """

    outside: float
    eyes: float = -1.0
    mouth: float = 0.0
    mouth_detail: float = 1.0
    one_sided: float = 0.0
    steady: float = 1.0
    half_score: float = 1.0
    eyes_score: float = 1.0
    mouth_score: float = 1.0

    @property
    def grainy(self) -> bool:
        """Whether the embedding is of the grain of a copy rather than of the face."""
        return self.steady < MIN_STEADY

    @property
    def message(self) -> str:
        """The hidden part and the remedy; empty when the face is whole."""
        whole = "use a photo of the whole face from the front"
        if self.outside > MAX_OUTSIDE:
            share = f"{self.outside:.0%} of the face lie outside of the photo; at most {MAX_OUTSIDE:.0%} are allowed"
            return f"{share}: {whole}"
        if self.one_sided > MAX_ONE_SIDED or self.half_score < MIN_HALF_SCORE:
            return f"one half of the face is hidden or turned away: {whole}"
        if self._eyes_covered:
            return "the eyes are covered: use a photo without sunglasses, hair, a hand or a bar over them"
        if self._mouth_covered:
            return "the mouth is covered: use a photo without a mask, a scarf or a hand over it"
        return ""

    @property
    def _eyes_covered(self) -> bool:
        limit = MIN_EYES_SCORE if self.eyes > DOUBTFUL_EYES else HIDDEN_EYES_SCORE
        return self.eyes > MAX_EYES or self.eyes_score < limit

    @property
    def _mouth_covered(self) -> bool:
        limit = MIN_MOUTH_SCORE if self.mouth > DOUBTFUL_MOUTH else HIDDEN_MOUTH_SCORE
        return self.mouth > MAX_MOUTH or self.mouth_detail < MIN_MOUTH_DETAIL or self.mouth_score < limit


def outside(shape: tuple[int, ...], landmarks: NDArray[np.float32]) -> float:
    """Return the share of a face that lies outside of its image.

    Parameters
    ----------
    shape
        Height and width of the image in pixels, first.
    landmarks
        [5,2] float32 of the face in it.
    """
    matrix = alignment.similarity_transforms(landmarks[None])[0].astype(np.float64)
    rows, columns = np.mgrid[_FACE]
    points = np.linalg.solve(matrix[:, :2], np.stack([columns.ravel(), rows.ravel()]) - matrix[:, 2:])
    limits = np.array([[shape[1] - 1.0], [shape[0] - 1.0]])
    return float(((points < 0) | (points > limits)).any(axis=0).mean())


def hidden_variants(crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a face [112,112,3] uint8 RGB, and it with a part hidden or blurred, [9,112,112,3], for the embedder."""
    blurred = _blur(crop, _BLUR)
    black = np.zeros_like(blurred)
    hidden = [_hide(crop, *one) for one in ((_EYES, blurred), (_EYES, black), (_MOUTH, blurred))]
    hidden += [_hide(crop, side, blurred) for side in (_LEFT, _RIGHT)]
    return np.stack([crop, *hidden, *_mirrored(crop), _blur(crop, _FINE).astype(np.uint8)])


def part_crops(crop: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Return four crops for the detector: each half beside its mirror image, the upper half alone, and the lower."""
    blurred = _blur(crop, _BLUR)
    return [*_mirrored(crop), _hide(crop, _LOWER, blurred), _hide(crop, _UPPER, blurred)]


def measure_occlusion(
    crop: NDArray[np.uint8], embeddings: NDArray[np.float32], part_scores: Sequence[float], share_outside: float
) -> Occlusion:
    """Return the measurements of a face.

    Parameters
    ----------
    embeddings
        [9,D] float32, unit length, of `hidden_variants(crop)`.
    part_scores
        The detector's scores of `part_crops(crop)`.
    share_outside
        From `outside`.
    """
    left_score, right_score, upper_score, lower_score = part_scores
    eyes, black_eyes, mouth, no_left, no_right, left, right, steady = (embeddings[1:] @ embeddings[0]).tolist()
    detail = _blur(crop, _FINE) @ _LUMA - _blur(crop, _COARSE) @ _LUMA
    usual = float(detail[_FACE].std()) + 1e-3
    eye_detail = sum(float(detail[patch].std()) / usual for patch in _EYE_PATCHES) / 2
    return Occlusion(
        share_outside,
        (eyes + black_eyes) / 2 - EYE_DETAIL * min(eye_detail, 2.0),
        mouth,
        float(detail[_MOUTH_PATCH].std()) / usual,
        abs((no_left - no_right) + (right - left)),
        steady,
        min(left_score, right_score),
        upper_score,
        lower_score,
    )


def _mirrored(crop: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the left half beside its mirror image, and the right half."""
    left, right = crop.copy(), crop.copy()
    left[:, CROP // 2 :] = crop[:, : CROP // 2][:, ::-1]
    right[:, : CROP // 2] = crop[:, CROP // 2 :][:, ::-1]
    return left, right


def _hide(crop: NDArray[np.uint8], part: tuple[slice, slice], filling: NDArray[np.float32]) -> NDArray[np.uint8]:
    mask = np.zeros((CROP, CROP, 1), np.float32)
    mask[part] = 1
    mask = _blur(mask, _EDGE)
    mixed: NDArray[np.uint8] = (crop * (1 - mask) + filling * mask).astype(np.uint8)
    return mixed


def _blur(image: NDArray[np.uint8] | NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Return an image [H,W,C] blurred by a Gaussian; its edges are repeated."""
    radius = int(np.ceil(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2).astype(np.float32)
    kernel /= kernel.sum()
    found = image.astype(np.float32)
    for axis in (0, 1):
        padding = [(radius, radius) if one == axis else (0, 0) for one in range(found.ndim)]
        windows = np.lib.stride_tricks.sliding_window_view(np.pad(found, padding, "edge"), len(kernel), axis)
        found = windows @ kernel
    return found
