"""A photo to one face: decoded, detected, assessed, aligned, embedded.

Needs Pillow; the stream pod never imports this.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vigil_vision import detection, letterbox
from vigil_vision.detection import Detections
from vigil_vision.faces import alignment, occlusion, tiles
from vigil_vision.faces.model_info import DetectorInfo
from vigil_vision.faces.models import FaceModels
from vigil_vision.faces.orientation import CERTAIN_LEAD, TURNS, cut_surroundings, read_orientations
from vigil_vision.faces.quality import GRAINY, Assessment, PhotoReason, assess_enrolment, main_face, pose_of
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
    image
        [H,W,3] uint8 RGB in which they were found: the photo, turned until its main face is upright.
    turns
        Quarter turns counter-clockwise by which it was turned, 0 to 3.
    upright
        Whether the main face is certainly upright in it; False also when there is none.
    """

    detections: Detections
    crops: NDArray[np.uint8]
    detector: DetectorInfo
    image: NDArray[np.uint8]
    turns: int = 0
    upright: bool = False


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


def find_upright_faces(models: FaceModels, image: NDArray[np.uint8], *, deadline_s: float | None = None) -> PhotoFaces:
    """Find and align all faces of a photo, which is turned when its main face lies or stands on its head.

    A photo is turned only when the face is certainly upright afterwards; otherwise it stays as it is, and `upright` is
    False.

    Parameters
    ----------
    models
        Only the detector is used.
    image
        [H,W,3] uint8 RGB.
    deadline_s
        Seconds per image that is sent, instead of the models' own; the detector's info is read within theirs.

    Raises
    ------
    InferenceError
        When no server responds.
    """
    found = find_faces(models, image, deadline_s=deadline_s)
    face = _orientation(models, found, deadline_s)
    if face is not None and face.upright and face.image_turns == 0:
        return replace(found, upright=True)
    best, best_score = found, 0.0
    for turns in (face.image_turns,) if face is not None and face.image_turns else range(1, TURNS):
        # A copy: alignment reads rows, and the detector's input is scaled from contiguous ones.
        turned = find_faces(models, np.ascontiguousarray(np.rot90(image, turns)), deadline_s=deadline_s)
        after = _orientation(models, turned, deadline_s)
        if after is not None and after.upright and after.image_turns == 0 and after.score > best_score:
            best, best_score = replace(turned, turns=turns, upright=True), after.score
    return best


@dataclass(frozen=True, slots=True)
class _MainFace:
    """The orientation of the main face in its image; `upright` when it is certain."""

    upright: bool
    image_turns: int
    score: float


def _orientation(models: FaceModels, faces: PhotoFaces, deadline_s: float | None) -> _MainFace | None:
    """Return the orientation of the main face; None when there is none."""
    index = main_face(faces.detections, faces.detector.enrol_score_threshold)
    if index is None:
        return None
    landmarks = faces.detections.landmarks[index : index + 1]
    straight, between = (
        read_orientations(models, cut_surroundings(faces.image, landmarks, degrees=degrees), deadline_s=deadline_s)[0]
        for degrees in (0, 45)
    )
    # Landmarks that a detector draws askew on a lying face leave it tilted; such a face scores higher in between.
    tilted = max(between.scores) - straight.scores[0] >= CERTAIN_LEAD
    upright = straight.upright and straight.certain and not tilted
    return _MainFace(upright, straight.image_turns(pose_of(landmarks[0]).roll), straight.scores[0])


def find_faces(models: FaceModels, image: NDArray[np.uint8], *, deadline_s: float | None = None) -> PhotoFaces:
    """Find and align all faces of an image as it is.

    Parameters
    ----------
    models
        Only the detector is used.
    image
        [H,W,3] uint8 RGB.
    deadline_s
        As in `find_upright_faces`.

    Raises
    ------
    InferenceError
        When no server responds.
    """
    detector = models.detector_info()
    height, width = image.shape[:2]
    no_crops = np.empty((0, alignment.CROP, alignment.CROP, 3), np.uint8)
    found = PhotoFaces(Detections.empty(), no_crops, detector, image)
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
            found = PhotoFaces(faces, alignment.align(image, faces.landmarks), detector, image)
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
        A JPEG, PNG, WebP or AVIF.
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
    faces = find_upright_faces(models, image, deadline_s=deadline_s)
    assessment = assess_enrolment(
        faces.detections, faces.crops, min_confidence=faces.detector.enrol_score_threshold, upright=faces.upright
    )
    if assessment.accepted and faces.turns:
        message = f"{assessment.message}; the photo was turned by {turned_by(faces.turns)} to bring the face upright"
        assessment = replace(assessment, message=message)
    if not assessment.accepted or assessment.face is None:
        return PhotoEnrolment(assessment)
    return _embed(models, faces, assessment, assessment.face, deadline_s)


def _embed(
    models: FaceModels, faces: PhotoFaces, assessment: Assessment, index: int, deadline_s: float | None
) -> PhotoEnrolment:
    """Return the embedding of a face, unless embedder or detector show that a part is hidden."""
    crop = faces.crops[index]
    share = occlusion.outside(faces.image.shape, faces.detections.landmarks[index])
    fault = occlusion.Occlusion(share).message
    if not fault:
        result = models.embed(occlusion.hidden_variants(crop), deadline_s=deadline_s)
        scores = tiles.score(models, occlusion.part_crops(crop), deadline_s=deadline_s)
        found = occlusion.measure_occlusion(crop, result.values, scores, share)
        if found.grainy:
            return PhotoEnrolment(Assessment(PhotoReason.FACE_GRAINY, GRAINY, index, assessment.quality))
        fault = found.message
        if not fault:
            return PhotoEnrolment(assessment, result.values[0], result.info.model_id)
    return PhotoEnrolment(Assessment(PhotoReason.FACE_HIDDEN, fault, index, assessment.quality))


def turned_by(turns: int) -> str:
    """Return quarter turns counter-clockwise, 1 to 3, in words."""
    return ("90 degrees to the left", "180 degrees", "90 degrees to the right")[turns - 1]


def _letterbox(detector: DetectorInfo, width: int, height: int, side: int) -> letterbox.Letterbox:
    if detector.width is not None and detector.height is not None:
        return letterbox.exact(width, height, detector.width, detector.height)
    return letterbox.fit(width, height, side, side)
