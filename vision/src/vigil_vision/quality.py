"""How good is a face for recognition: size, sharpness, light, pose, confidence; and whether a photo may be enrolled."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from vigil_vision.detection import Detections


class PhotoReason(StrEnum):
    """Why a photo was, or was not, enrolled."""

    ACCEPTED = "Accepted"
    NO_FACE = "NoFace"
    SEVERAL_FACES = "SeveralFaces"
    FACE_TOO_SMALL = "FaceTooSmall"
    FACE_BLURRED = "FaceBlurred"
    FACE_TURNED = "FaceTurned"
    TOO_DARK = "TooDark"
    TOO_BRIGHT = "TooBright"
    LOW_CONFIDENCE = "LowConfidence"


@dataclass(frozen=True, slots=True)
class Pose:
    """Where a head points, estimated from five landmarks; degrees, 0 is frontal and upright.

    Attributes
    ----------
    yaw
        Positive when the person looks to the right side of the picture; about -90 to 90.
    pitch
        Positive when the person looks up.
    roll
        Positive when the head is turned clockwise in the picture; -180 to 180.
    """

    yaw: float
    pitch: float
    roll: float


@dataclass(frozen=True, slots=True)
class FaceQuality:
    """Measurements of one face.

    Attributes
    ----------
    face_pixels
        Shorter side of the box in source pixels.
    interocular_pixels
        Distance of the eyes in source pixels.
    sharpness
        0 (nothing left) to 1 (crisp at 112 pixels).
    brightness, contrast
        Mean and standard deviation of grey levels over the face, 0 to 1.
    pose
        Degrees.
    confidence
        The detector's score, 0 to 1.
    score
        All of these in one number, 0 to 1.
    """

    face_pixels: float
    interocular_pixels: float
    sharpness: float
    brightness: float
    contrast: float
    pose: Pose
    confidence: float
    score: float


@dataclass(frozen=True, slots=True)
class Assessment:
    """May this photo be enrolled.

    Attributes
    ----------
    reason
        `Accepted`, or what is wrong first.
    message
        A sentence for the person who took the photo, with the measured and the needed value.
    face
        Index of the one face in the detections; None when there is not exactly one.
    quality
        Its measurements; None when there is not exactly one face.
    """

    reason: PhotoReason
    message: str
    face: int | None = None
    quality: FaceQuality | None = None

    @property
    def accepted(self) -> bool:
        """Whether the photo may be enrolled."""
        return self.reason is PhotoReason.ACCEPTED


def pose_of(landmarks: NDArray[np.float32]) -> Pose:
    """Estimate the pose of one face from its landmarks [5,2] in pixels."""
    raise NotImplementedError


def measure(detections: Detections, crops: NDArray[np.uint8]) -> list[FaceQuality]:
    """Measure every face.

    Parameters
    ----------
    detections
        n faces in source pixels.
    crops
        [n,112,112,3] uint8 RGB, the same faces aligned (`alignment.align`).
    """
    raise NotImplementedError


def assess_enrolment(detections: Detections, crops: NDArray[np.uint8], *, min_confidence: float) -> Assessment:
    """Decide whether a photo with these faces may be enrolled, and say why not.

    Parameters
    ----------
    detections
        All faces found in the photo, in its pixels, down to a low score.
    crops
        [n,112,112,3] uint8 RGB, aligned.
    min_confidence
        The detection model's `enrol_score_threshold`, 0 to 1.
    """
    raise NotImplementedError
