"""A photo to one face: decoded, detected, assessed, aligned, embedded.

Needs Pillow; the stream pod never imports this.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vigil_vision.detection import Detections
from vigil_vision.quality import Assessment
from vigil_vision.triton import InferenceClient

DETECTOR_SIDE = 640
"""Longer side of a photo as the detector sees it, in pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class PhotoFaces:
    """All faces of a photo.

    Attributes
    ----------
    detections
        n faces in photo pixels.
    crops
        [n,112,112,3] uint8 RGB, aligned.
    """

    detections: Detections
    crops: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class PhotoResult:
    """What became of a photo.

    Attributes
    ----------
    assessment
        Accepted, or why not.
    embedding
        [D] float32, unit length; None when refused.
    model_id
        Model that made the embedding; None when refused.
    """

    assessment: Assessment
    embedding: NDArray[np.float32] | None = None
    model_id: str | None = None


def find_faces(client: InferenceClient, image: NDArray[np.uint8]) -> PhotoFaces:
    """Find and align all faces of a photo [H,W,3] uint8 RGB; InferenceError when no server answers."""
    raise NotImplementedError


def enrol_photo(client: InferenceClient, data: bytes) -> PhotoResult:
    """Take a photo's bytes to an embedding, or to the reason why it is refused.

    Raises
    ------
    InferenceError
        When no server answers; a bad photo is not an error but a refusal.
    """
    raise NotImplementedError
