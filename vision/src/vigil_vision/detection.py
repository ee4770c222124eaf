"""From the detector's rows to faces: threshold, non-maximum suppression, filters, and the way back to source pixels.

The model returns [K,15] rows x1, y1, x2, y2, score, (x, y) x 5, sorted by score, padded with rows of score 0
(the wire contract of `face_detection`). All that depends on a camera's settings happens here, on at most K rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from vigil_vision.letterbox import Letterbox

ROW = 15
"""Columns of a detector row: box 4, score 1, landmarks 5 x 2."""

MIN_SPREAD = 0.1
"""Pixels of the input over which a face's landmarks extend at the least; five in one point show no pose."""


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """The detections in one image, most confident first; row i of every column belongs to detection i.

    Attributes
    ----------
    boxes
        [n,4] float32: x1, y1, x2, y2 in pixels.
    scores
        [n] float32, 0 to 1.
    landmarks
        [n,5,2] float32 in pixels: right eye (left in the image), left eye, nose, right and left mouth corner; [n,0,2]
        from a model that finds no landmarks.
    class_id
        [n] int32, the class of each detection; None from a model of one class.
    data
        Further columns by name, n rows each.

    Raises
    ------
    ValueError
        When columns differ in their number of rows.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    class_id: NDArray[np.int32] | None = None
    data: dict[str, NDArray[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        count = len(self.scores)
        if not len(self.boxes) == len(self.landmarks) == count:
            msg = f"{len(self.boxes)} boxes and {len(self.landmarks)} landmarks do not belong to {count} detections"
            raise ValueError(msg)
        if self.class_id is not None and len(self.class_id) != count:
            msg = f"{len(self.class_id)} classes do not belong to {count} detections"
            raise ValueError(msg)
        for name, column in self.data.items():
            if len(column) != count:
                msg = f"{len(column)} rows of {name} do not belong to {count} detections"
                raise ValueError(msg)

    @classmethod
    def empty(cls) -> Self:
        """Return no detections."""
        return cls(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty((0, 5, 2), np.float32))

    def __len__(self) -> int:
        return len(self.scores)

    def __iter__(self) -> Iterator["Detections"]:
        """Yield each detection by itself."""
        return (self.select(slice(i, i + 1)) for i in range(len(self)))

    def select(self, which: slice | NDArray[np.bool_] | NDArray[np.intp]) -> "Detections":
        """Return some of the detections, with all their columns: a slice, a mask [n] or indices."""
        return Detections(
            self.boxes[which],
            self.scores[which],
            self.landmarks[which],
            self.class_id[which] if self.class_id is not None else None,
            {name: column[which] for name, column in self.data.items()} if self.data else {},
        )

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
        """Size of each face [n]: the shorter side of its box in pixels, the measure of `min_face_pixels`."""
        return np.minimum(self.widths, self.heights)


def parse(rows: NDArray[np.float32], score_threshold: float) -> Detections:
    """Convert the rows of one image to detections at or above the threshold.

    Parameters
    ----------
    rows
        [K,15] float32 as the model returns them, in input pixels. Rows that are not finite, whose box is empty, or
        whose landmarks all lie in one place are left out: they are no faces, and cannot be aligned.
    score_threshold
        0 to 1; padding (score 0) is left out even at 0.

    Raises
    ------
    ValueError
        When the shape is not [K,15].
    """
    if rows.ndim != 2 or rows.shape[1] != ROW:
        msg = f"detector rows of shape {list(rows.shape)} cannot be read; [K,{ROW}] is expected"
        raise ValueError(msg)
    scores = rows[:, 4]
    # A NaN compares false, so it falls out with the weak ones.
    kept = rows[(scores >= score_threshold) & (scores > 0)]
    if not len(kept):
        return Detections.empty()
    kept = kept[np.isfinite(kept).all(axis=1)]
    spread = np.ptp(kept[:, 5:].reshape(-1, 5, 2), axis=1).max(axis=1)
    sound = (kept[:, 2] > kept[:, 0]) & (kept[:, 3] > kept[:, 1]) & (spread > MIN_SPREAD)
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
    """Keep the best of boxes that overlap by more than `iou_threshold` (greedy non-maximum suppression in each class).

    Parameters
    ----------
    detections
        Any order; the result is sorted by score, descending.
    iou_threshold
        0 to 1: two boxes of one class with a greater intersection over union are one detection.
    """
    if len(detections) < 2:
        return detections
    ordered = detections.select(np.argsort(-detections.scores, kind="stable"))
    overlaps = intersection_over_union(ordered.boxes, ordered.boxes) > iou_threshold
    if ordered.class_id is not None:
        overlaps &= ordered.class_id[:, None] == ordered.class_id[None, :]
    alive = np.ones(len(ordered), np.bool_)
    for index in range(len(ordered)):
        if alive[index]:
            alive[index + 1 :] &= ~overlaps[index, index + 1 :]
    return ordered.select(alive)


def decode(
    rows: NDArray[np.float32],
    letterbox: Letterbox,
    *,
    score_threshold: float,
    iou_threshold: float,
) -> Detections:
    """Convert the model's [K,15] rows of one image to faces in source pixels, most confident first.

    Boxes are not clipped to the image: a face at its edge keeps its true size.
    """
    faces = suppress(parse(rows, score_threshold), iou_threshold)
    boxes, landmarks = letterbox.to_source(faces.boxes), letterbox.to_source(faces.landmarks)
    return Detections(boxes, faces.scores, landmarks, faces.class_id, faces.data)
