"""The quality of a face for recognition, and the assessment of a photo for enrolment.

Limits were calibrated on photos of public figures with two detectors (SCRFD-2.5G, YuNet) and two embedders: every
undegraded portrait passes with a margin, and what is refused has lost so much that its embedding moved away from the
person's (cosine to the undegraded crop below about 0.85).
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vigil_contracts.registry import PhotoReason
from vigil_vision.detection import Detections

__all__ = ["Assessment", "FaceQuality", "PhotoReason", "Pose", "assess_enrolment", "measure", "pose_of"]

MIN_FACE_PIXELS = 60
"""For enrolment: at 60 the embedding keeps a cosine of 0.96 to the large original, at 32 only 0.79."""

MIN_SHARPNESS = 0.35
"""For enrolment: a Gaussian blur of 1.5 pixels in the 112 pixel crop is refused; undegraded portraits have 0.8 and
more."""

MAX_GRAIN, MAX_TWO_TONE = 1.15, 0.7
"""For enrolment. Photos have a grain of at most 0.90; dithered and printed ones, and photos of screens, have 1.1 to 3.4
(cosine to the person 0 to 0.8), and their grain would pass for sharpness. Photocopies in pure black and white have no
grain, but two tones only: 0.84, where photos reach 0.49 (cosine 0.25)."""

MAX_YAW, MAX_PITCH, MAX_ROLL = 35.0, 40.0, 60.0
"""Degrees, for enrolment. Portraits reach 29, 27 and 8: five landmarks show yaw well and pitch badly; roll is undone by
the alignment and matters only because detectors are not made for it."""

MIN_BRIGHTNESS, MAX_BRIGHTNESS = 0.10, 0.90
"""Mean grey of the face, for enrolment. Wide on purpose: they catch photos in which light has drowned the face or
failed to reach it, not exposure that is merely poor. The photos they were tried on show too few people to measure how
much room they leave for every skin, so do not narrow them without such a measurement."""

GRAINY = "the photo is a grainy copy: a print, a scan in black and white or a photo of a screen; use the original photo"

RIVAL_CONFIDENCE = 0.85
"""Another face spoils an enrolment photo when it is at least this confident relative to the best; a painted landscape
was seen at 0.74, real second people from 0.93."""

RIVAL_SIZE = 0.25
"""... and at least this large relative to it; smaller people are background."""

_SHARP_RATIO = 0.12
"""Standard deviation of the Laplacian over mean grey of a crisp 112 pixel crop: least of all undegraded portraits."""

_DEPTH_TO_EYES = 1.9
"""Interocular distance over the nose tip's protrusion, 63 mm / 33 mm: average adult anthropometry."""

_DEPTH_TO_HEIGHT = 2.3
"""Eye-to-mouth height over the nose tip's protrusion."""

_NOSE_HEIGHT = 0.55
"""Where the nose lies between eyes (0) and mouth (1) in frontal portraits: the median over both detectors."""

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""ITU-R BT.601."""

_FACE = (slice(24, 104), slice(20, 92))
"""Rows and columns of an aligned crop that are face and hardly background."""

_WEIGHTS = {"size": 0.30, "sharpness": 0.25, "pose": 0.30, "light": 0.10, "confidence": 0.05}
"""Exponents of the combined score; they sum to 1."""


@dataclass(frozen=True, slots=True)
class Pose:
    """Where a head points, estimated from five landmarks; degrees, 0 is frontal and upright.

    Attributes
    ----------
    yaw
        Positive when the person looks to the right side of the image; -90 to 90.
    pitch
        Positive when the person looks up; -90 to 90. A rough estimate: +-20 is noise.
    roll
        Positive when the head is turned clockwise in the image; -180 to 180.
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
        0 (nothing left) to 1 (crisp at 112 pixels): standard deviation of the Laplacian of the aligned grey crop over
        its mean grey, so that dimmer light does not count as blur.
    brightness, contrast
        Mean and standard deviation of grey over the face, 0 to 1.
    pose
        Degrees.
    confidence
        The detector's score, 0 to 1.
    grain
        Detail of single pixels over that of pairs of pixels: about 0.6 in photos, above 1 in dithered, printed and
        noisy ones.
    two_tone
        Share of pixels that are as dark as the darkest or as bright as the brightest, 0 to 1.
    score
        All of these in one number, 0 to 1: the weighted geometric mean of size (interocular distance up to the 35
        pixels of the template, weight 0.30), pose (cosine of yaw times cosine of half the pitch, 0.30), sharpness
        (0.25), light (0.10) and confidence (0.05). Geometric, so that nothing makes up for a profile or a smear.
    """

    face_pixels: float
    interocular_pixels: float
    sharpness: float
    brightness: float
    contrast: float
    pose: Pose
    confidence: float
    score: float
    grain: float = 0.0
    two_tone: float = 0.0


@dataclass(frozen=True, slots=True)
class Assessment:
    """Whether a photo may be enrolled, and the reason.

    Attributes
    ----------
    reason
        `Accepted`, or the first flaw.
    message
        A sentence for the photographer, with the measured and the needed value.
    face
        Index of the face in the detections; None when there is none or more than one.
    quality
        Its measurements; None as `face`.
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
    """Estimate the pose of one face from its landmarks.

    With roll undone, the nose tip stands out of the plane of eyes and mouth corners, so its shift sideways against
    their middle is the tangent of yaw, and its shift against its usual height the tangent of pitch, each times a
    proportion of the face.

    Parameters
    ----------
    landmarks
        [5,2] float32 in pixels.
    """
    right_eye, left_eye, nose, right_mouth, left_mouth = (complex(float(x), float(y)) for x, y in landmarks)
    eye_line = left_eye - right_eye
    if abs(eye_line) < 1e-6:
        return Pose(90.0, 0.0, 0.0)
    upright = eye_line.conjugate() / abs(eye_line)
    middle_of_eyes = (right_eye + left_eye) / 2
    down = ((right_mouth + left_mouth) / 2 - middle_of_eyes) * upright
    to_nose = (nose - middle_of_eyes) * upright
    height = max(down.imag, 0.1 * abs(eye_line))
    along = to_nose.imag / height
    sideways = (to_nose.real - down.real * along) / abs(eye_line)
    return Pose(
        yaw=math.degrees(math.atan(sideways * _DEPTH_TO_EYES)),
        pitch=math.degrees(math.atan((_NOSE_HEIGHT - along) * _DEPTH_TO_HEIGHT)),
        roll=math.degrees(math.atan2(eye_line.imag, eye_line.real)),
    )


def measure(detections: Detections, crops: NDArray[np.uint8]) -> list[FaceQuality]:
    """Measure every face; 0.2 ms each.

    Parameters
    ----------
    detections
        n faces in source pixels.
    crops
        [n,112,112,3] uint8 RGB, the same faces aligned (`alignment.align`).

    Raises
    ------
    ValueError
        When there are not as many crops as faces.
    """
    if len(crops) != len(detections):
        msg = f"{len(crops)} crops do not belong to {len(detections)} faces"
        raise ValueError(msg)
    sizes = detections.face_pixels
    return [
        _measure_one(float(size), float(score), landmarks, crop)
        for size, score, landmarks, crop in zip(sizes, detections.scores, detections.landmarks, crops, strict=True)
    ]


def main_face(detections: Detections, min_confidence: float) -> int | None:
    """Return the index of the person meant by a photo: the largest of the certain faces; None without a certain one."""
    certain = detections.scores >= min_confidence
    return int(np.argmax(detections.scores * certain * detections.face_pixels)) if certain.any() else None


def assess_enrolment(
    detections: Detections, crops: NDArray[np.uint8], *, min_confidence: float, upright: bool = True
) -> Assessment:
    """Return whether a photo with these faces may be enrolled, and the reason if not.

    Parameters
    ----------
    detections
        All faces found in the photo, in its pixels, down to a score somewhat below `min_confidence`.
    crops
        [n,112,112,3] uint8 RGB, aligned.
    min_confidence
        The detection model's `enrol_score_threshold`, 0 to 1.
    upright
        Whether the main face is certainly upright (`orientation`).
    """
    if not len(detections):
        return Assessment(PhotoReason.NO_FACE, "no face was found in the photo")
    person = main_face(detections, min_confidence)
    # An uncertain face is only named in the message.
    chosen = int(np.argmax(detections.scores)) if person is None else person
    quality = measure(detections.select(slice(chosen, chosen + 1)), crops[chosen : chosen + 1])[0]
    if quality.confidence < min_confidence:
        message = f"the most likely face has confidence {quality.confidence:.2f}; {min_confidence:.2f} is needed"
        return Assessment(PhotoReason.LOW_CONFIDENCE, message, chosen, quality)
    count = 1 + _rivals(detections, chosen, min_confidence)
    if count > 1:
        message = f"{count} faces were found in the photo; it must show one person only"
        return Assessment(PhotoReason.SEVERAL_FACES, message)
    if not upright:
        message = "the face lies on its side or stands on its head; turn the photo until the face is upright"
        return Assessment(PhotoReason.FACE_NOT_UPRIGHT, message, chosen, quality)
    for flaw in _flaws(quality):
        return Assessment(flaw.reason, flaw.message, chosen, quality)
    return Assessment(PhotoReason.ACCEPTED, f"accepted with quality {quality.score:.2f}", chosen, quality)


class _Flaw(NamedTuple):
    reason: PhotoReason
    message: str


def _flaws(quality: FaceQuality) -> list[_Flaw]:
    """List what keeps a face out of the gallery, cause before effect: darkness blurs, blur misplaces landmarks."""
    pose = quality.pose
    turned = abs(pose.yaw) > MAX_YAW or abs(pose.pitch) > MAX_PITCH or abs(pose.roll) > MAX_ROLL
    size = f"the face is {quality.face_pixels:.0f} pixels wide; {MIN_FACE_PIXELS} are needed"
    dark = f"the face has brightness {quality.brightness:.2f}; at least {MIN_BRIGHTNESS:.2f} is needed"
    bright = f"the face has brightness {quality.brightness:.2f}; at most {MAX_BRIGHTNESS:.2f} is allowed"
    angles = f"{_degrees(pose.yaw, pose.pitch, pose.roll)} degrees (sideways, up or down, tilted)"
    pointing = f"the face is turned by about {angles}; at most {_degrees(MAX_YAW, MAX_PITCH, MAX_ROLL)} are allowed"
    blur = f"the face has sharpness {quality.sharpness:.2f}; at least {MIN_SHARPNESS:.2f} is needed"
    checks = (
        (quality.face_pixels < MIN_FACE_PIXELS, PhotoReason.FACE_TOO_SMALL, size),
        (quality.brightness < MIN_BRIGHTNESS, PhotoReason.TOO_DARK, dark),
        (quality.brightness > MAX_BRIGHTNESS, PhotoReason.TOO_BRIGHT, bright),
        (quality.sharpness < MIN_SHARPNESS, PhotoReason.FACE_BLURRED, blur),
        (quality.grain > MAX_GRAIN or quality.two_tone > MAX_TWO_TONE, PhotoReason.FACE_GRAINY, GRAINY),
        (turned, PhotoReason.FACE_TURNED, pointing),
    )
    return [_Flaw(reason, message) for failed, reason, message in checks if failed]


def _rivals(detections: Detections, chosen: int, min_confidence: float) -> int:
    """Count the other faces that make it unclear which person the photo shows."""
    scores, sizes = detections.scores, detections.face_pixels
    confident = scores >= max(min_confidence, RIVAL_CONFIDENCE * float(scores.max()))
    rivals = confident & (sizes >= RIVAL_SIZE * sizes[chosen])
    rivals[chosen] = False
    return int(rivals.sum())


def _measure_one(
    size: float, confidence: float, landmarks: NDArray[np.float32], crop: NDArray[np.uint8]
) -> FaceQuality:
    grey = crop[_FACE].astype(np.float32) @ _LUMA
    mean, spread = float(grey.mean()), float(grey.std())
    pairs = grey.reshape(grey.shape[0] // 2, 2, grey.shape[1] // 2, 2).mean(axis=(1, 3))
    # The floor keeps the sensor noise of a black image from counting as detail.
    fine, coarse = (_detail(one) / max(mean, 8.0) for one in (grey, pairs))
    sharpness = min(fine / _SHARP_RATIO, 1.0)
    eyes = float(np.hypot(*(landmarks[1] - landmarks[0])))
    pose = pose_of(landmarks)
    brightness = mean / 255
    parts = {
        "size": min(eyes / 35.24, 1.0),
        "sharpness": sharpness,
        "pose": max(math.cos(math.radians(pose.yaw)) * math.cos(math.radians(pose.pitch / 2)), 0.0),
        "light": _light(brightness),
        "confidence": min(max(confidence, 0.0), 1.0),
    }
    score = math.prod(parts[name] ** weight for name, weight in _WEIGHTS.items())
    grain = fine / max(coarse, 0.01)
    return FaceQuality(size, eyes, sharpness, brightness, spread / 255, pose, confidence, score, grain, _two_tone(grey))


def _two_tone(grey: NDArray[np.float32]) -> float:
    """Return the share of pixels within a twelfth of the range from its ends."""
    dark, bright = (float(value) for value in np.percentile(grey, (2, 98)))
    near = (bright - dark) / 12
    return float(((grey <= dark + near) | (grey >= bright - near)).mean()) if bright - dark > 32 else 0.0


def _detail(grey: NDArray[np.float32]) -> float:
    """Return the standard deviation of the Laplacian."""
    inner = grey[1:-1, 1:-1]
    return float((4 * inner - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]).std())


def _degrees(*angles: float) -> str:
    return ", ".join(f"{abs(angle):.0f}" for angle in angles)


def _light(brightness: float) -> float:
    """Rate brightness: 1 between 0.25 and 0.75, falling to 0 at black and white."""
    return min(brightness / 0.25, (1 - brightness) / 0.25, 1.0)
