"""A photo to one face: decoded, detected, assessed, aligned, embedded.

Needs Pillow; the stream pod never imports this.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vigil_vision import detection, letterbox
from vigil_vision.detection import Detections
from vigil_vision.faces import alignment
from vigil_vision.faces.model_info import DetectorInfo
from vigil_vision.faces.models import FaceModels
from vigil_vision.faces.quality import Assessment, PhotoReason, assess_enrolment
from vigil_vision.photos import PhotoError, PhotoTooLarge, decode_photo, scale_into

DETECTOR_SIDES = (640, 320)
"""Longer sides of a photo as the detector sees it, in pixels; the next one is tried when the one before shows no face.
Detectors miss faces that fill a large image."""

DOUBTFUL = 0.6
"""Share of the enrolment threshold down to which a face is reported as doubtful instead of not at all."""


@dataclass(frozen=True, slots=True, eq=False)
class PhotoFaces:
    """All faces of a photo.

    Attributes
    ----------
    detections
        n faces in photo pixels, down to doubtful ones.
    crops
        [n,112,112,3] uint8 RGB, aligned.
    detector
        The detector that found them.
    """

    detections: Detections
    crops: NDArray[np.uint8]
    detector: DetectorInfo


@dataclass(frozen=True, slots=True, eq=False)
class PhotoEnrolment:
    """The outcome of enrolling a photo.

    Attributes
    ----------
    assessment
        Accepted, or the reason of the refusal.
    embedding
        [D] float32, unit length; None when refused.
    model_id
        Model that made the embedding; None when refused.
    """

    assessment: Assessment
    embedding: NDArray[np.float32] | None = None
    model_id: str | None = None


def find_faces(models: FaceModels, image: NDArray[np.uint8], *, deadline_s: float | None = None) -> PhotoFaces:
    """Find and align all faces of a photo.

    Parameters
    ----------
    models
        Only the detector is used.
    image
        [H,W,3] uint8 RGB, upright.
    deadline_s
        Seconds per image that is sent, instead of the models' own; the detector's info is read within theirs.

    Raises
    ------
    InferenceError
        When no server responds.
    """
    detector = models.detector_info()
    height, width = image.shape[:2]
    found = PhotoFaces(Detections.empty(), np.empty((0, alignment.CROP, alignment.CROP, 3), np.uint8), detector)
    for side in DETECTOR_SIDES:
        box = _letterbox(detector, width, height, side)
        result = models.detect(scale_into(image, box), deadline_s=deadline_s)
        detector = result.info
        faces = detection.decode(
            result.values[0],
            box,
            score_threshold=detector.enrol_score_threshold * DOUBTFUL,
            iou_threshold=detector.nms_iou,
        )
        if len(faces) and (not len(found.detections) or faces.scores.max() > found.detections.scores.max()):
            found = PhotoFaces(faces, alignment.align(image, faces.landmarks), detector)
        if detector.height is not None or (len(faces) and faces.scores.max() >= detector.enrol_score_threshold):
            break
    return found


def enroll_photo(models: FaceModels, data: bytes, *, deadline_s: float | None = None) -> PhotoEnrolment:
    """Return the embedding of a photo's face, or the reason why the photo is refused.

    Parameters
    ----------
    models
        Both are used.
    data
        A JPEG, PNG or WebP.
    deadline_s
        Seconds per call, instead of the models' own.

    Raises
    ------
    InferenceError
        When no server responds; a photo that is refused is no error.
    """
    try:
        image = decode_photo(data)
    except PhotoError as error:
        reason = PhotoReason.TOO_LARGE if isinstance(error, PhotoTooLarge) else PhotoReason.NOT_AN_IMAGE
        return PhotoEnrolment(Assessment(reason, str(error)))
    faces = find_faces(models, image, deadline_s=deadline_s)
    assessment = assess_enrolment(faces.detections, faces.crops, min_confidence=faces.detector.enrol_score_threshold)
    if not assessment.accepted or assessment.face is None:
        return PhotoEnrolment(assessment)
    result = models.embed(faces.crops[assessment.face : assessment.face + 1], deadline_s=deadline_s)
    return PhotoEnrolment(assessment, result.values[0], result.info.model_id)


def _letterbox(detector: DetectorInfo, width: int, height: int, side: int) -> letterbox.Letterbox:
    if detector.width is not None and detector.height is not None:
        return letterbox.exact(width, height, detector.width, detector.height)
    return letterbox.fit(width, height, side, side)
