"""From the detector's rows to faces: threshold, non-maximum suppression, filters, and the way back to source pixels.

The model answers with [K,15] rows x1, y1, x2, y2, score, (x, y) x 5, sorted by score, padded with rows of score 0
(the wire contract of `face_detection`). All that depends on a camera's settings happens here, on at most K rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from vigil_vision.letterbox import Letterbox

ROW = 15
"""Columns of a detector row: box 4, score 1, landmarks 5 x 2."""

LEAST_SPREAD = 0.1
"""Pixels of the input over which a face's landmarks extend at the least; five in one point tell no pose."""


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """Faces in one picture, most confident first.

    Attributes
    ----------
    boxes
        [n,4] float32: x1, y1, x2, y2 in pixels.
    scores
        [n] float32, 0 to 1.
    landmarks
        [n,5,2] float32 in pixels: right eye (left in the picture), left eye, nose, right and left mouth corner.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    landmarks: NDArray[np.float32]

    @classmethod
    def empty(cls) -> Self:
        """Make detections of no face."""
        return cls(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty((0, 5, 2), np.float32))

    def __len__(self) -> int:
        return len(self.scores)

    def __iter__(self) -> Iterator["Detections"]:
        """Give each face as detections of one."""
        return (self.select(slice(i, i + 1)) for i in range(len(self)))

    def select(self, which: slice | NDArray[np.bool_] | NDArray[np.intp]) -> "Detections":
        """Keep some faces: a slice, a mask [n] or indices."""
        return Detections(self.boxes[which], self.scores[which], self.landmarks[which])

    @property
    def widths(self) -> NDArray[np.float32]:
        """Box widths [n] in pixels."""
        return self.boxes[:, 2] - self.boxes[:, 0]

    @property
    def heights(self) -> NDArray[np.float32]:
        """Box heights [n] in pixels."""
        return self.boxes[:, 3] - self.boxes[:, 1]

    @property
    def face_pixels(self) -> NDArray[np.float32]:
        """Size of each face [n]: the shorter side of its box in pixels, what `min_face_pixels` speaks of."""
        return np.minimum(self.widths, self.heights)


def parse(rows: NDArray[np.float32], score_threshold: float) -> Detections:
    """Take the rows of one picture apart and keep those at or above the threshold.

    Parameters
    ----------
    rows
        [K,15] float32 as the model answers, in input pixels. Rows that are not finite, whose box is empty, or whose
        landmarks all lie in one place are left out: they are no faces, and cannot be aligned.
    score_threshold
        0 to 1; padding (score 0) is left out even at 0.

    Raises
    ------
    ValueError
        When the shape is not [K,15].
    """
    if rows.ndim != 2 or rows.shape[1] != ROW:
        msg = f"a detector answer of shape {list(rows.shape)} cannot be read; [K,{ROW}] is expected"
        raise ValueError(msg)
    scores = rows[:, 4]
    # A NaN compares false, so it falls out with the weak ones.
    kept = rows[(scores >= score_threshold) & (scores > 0)]
    if not len(kept):
        return Detections.empty()
    kept = kept[np.isfinite(kept).all(axis=1)]
    spread = np.ptp(kept[:, 5:].reshape(-1, 5, 2), axis=1).max(axis=1)
    sound = (kept[:, 2] > kept[:, 0]) & (kept[:, 3] > kept[:, 1]) & (spread > LEAST_SPREAD)
    kept = np.ascontiguousarray(kept[sound], np.float32)
    kept = kept[np.argsort(-kept[:, 4], kind="stable")]
    return Detections(kept[:, :4], kept[:, 4], kept[:, 5:].reshape(-1, 5, 2))


def intersection_over_union(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compare every box of `a` [n,4] with every box of `b` [m,4]; [n,m] float32, 0 to 1 (0 where both are empty)."""
    top_left = np.maximum(a[:, None, :2], b[None, :, :2])
    bottom_right = np.minimum(a[:, None, 2:], b[None, :, 2:])
    overlap = np.clip(bottom_right - top_left, 0, None).prod(axis=2)
    areas_a = np.clip(a[:, 2:] - a[:, :2], 0, None).prod(axis=1)
    areas_b = np.clip(b[:, 2:] - b[:, :2], 0, None).prod(axis=1)
    union = areas_a[:, None] + areas_b[None, :] - overlap
    result: NDArray[np.float32] = np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0)
    return result


def suppress(detections: Detections, iou_threshold: float) -> Detections:
    """Keep the best of boxes that overlap by more than `iou_threshold` (greedy non-maximum suppression).

    Parameters
    ----------
    detections
        Any order; the result is sorted by score, descending.
    iou_threshold
        0 to 1: two boxes with a greater intersection over union are one face.
    """
    if len(detections) < 2:
        return detections
    ordered = detections.select(np.argsort(-detections.scores, kind="stable"))
    overlaps = intersection_over_union(ordered.boxes, ordered.boxes) > iou_threshold
    alive = np.ones(len(ordered), np.bool_)
    for index in range(len(ordered)):
        if alive[index]:
            alive[index + 1 :] &= ~overlaps[index, index + 1 :]
    return ordered.select(alive)


def filter_faces(detections: Detections, *, min_face_pixels: float = 0, max_faces: int | None = None) -> Detections:
    """Leave out faces that are too small, then keep the largest when there are more than `max_faces`.

    Parameters
    ----------
    detections
        In the pixels that `min_face_pixels` speaks of (source pixels).
    min_face_pixels
        Least shorter side of a box; 0 keeps all.
    max_faces
        None keeps all. The largest are the nearest people, and the ones that can be recognised; order is kept.
    """
    kept = detections.select(detections.face_pixels >= min_face_pixels)
    if max_faces is not None and len(kept) > max_faces:
        largest = np.argsort(-kept.face_pixels, kind="stable")[:max_faces]
        kept = kept.select(np.sort(largest))
    return kept


def decode(
    rows: NDArray[np.float32],
    letterbox: Letterbox,
    *,
    score_threshold: float,
    iou_threshold: float,
    min_face_pixels: float = 0,
    max_faces: int | None = None,
) -> Detections:
    """Do it all: the model's [K,15] rows of one picture to faces in source pixels, most confident first.

    Boxes are not clipped to the picture: a face at its edge keeps its true size.
    """
    faces = suppress(parse(rows, score_threshold), iou_threshold)
    in_source = Detections(letterbox.to_source(faces.boxes), faces.scores, letterbox.to_source(faces.landmarks))
    return filter_faces(in_source, min_face_pixels=min_face_pixels, max_faces=max_faces)
