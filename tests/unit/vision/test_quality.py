import re

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from vigil_contracts.registry import PhotoReason
from vigil_vision.detection import Detections
from vigil_vision.faces import alignment, quality

TEMPLATE = alignment.ARCFACE_112


def texture(mean: float = 128, contrast: float = 40, blur: float = 0.9) -> NDArray[np.uint8]:
    """Make a crop [112,112,3] with detail of a chosen softness."""
    noise = np.random.default_rng(5).normal(0, 1, (112, 112)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), blur)
    grey = np.clip(mean + contrast * smooth / smooth.std(), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def face(size: float = 150, score: float = 0.9, points: NDArray[np.float32] = TEMPLATE, left: float = 0) -> Detections:
    scaled = (points * size / 112).astype(np.float32)
    scaled[:, 0] += left
    box = np.array([[left, 0, left + size, size * 1.2]], np.float32)
    return Detections(box, np.array([score], np.float32), scaled[None])


def together(*faces: Detections) -> Detections:
    return Detections(
        np.concatenate([one.boxes for one in faces]),
        np.concatenate([one.scores for one in faces]),
        np.concatenate([one.landmarks for one in faces]),
    )


def turned(yaw: float = 0, pitch: float = 0, roll: float = 0) -> NDArray[np.float32]:
    """Project a plain model of a head, in millimetres, turned by degrees."""
    model = np.array([[-31.5, -32, 0], [31.5, -32, 0], [0, 8, 33], [-25, 41, 0], [25, 41, 0]])
    y, p, r = np.radians([yaw, pitch, roll])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    about_z = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    projected: NDArray[np.float32] = (model @ (about_z @ about_y @ about_x).T)[:, :2].astype(np.float32)
    return projected


@pytest.mark.parametrize("yaw", [-50, -30, 0, 20, 45])
@pytest.mark.parametrize("roll", [-120, -20, 0, 40])
def test_yaw_and_roll_are_read_from_landmarks(yaw: float, roll: float) -> None:
    pose = quality.pose_of(turned(yaw=yaw, roll=roll))
    assert pose.yaw == pytest.approx(yaw, abs=4)
    assert pose.roll == pytest.approx(roll, abs=4)


@pytest.mark.parametrize("pitch", [-30, 0, 25])
def test_pitch_has_the_right_sign_and_size(pitch: float) -> None:
    assert quality.pose_of(turned(pitch=pitch)).pitch == pytest.approx(pitch, abs=10)


def test_eyes_in_one_place_are_a_profile_not_a_crash() -> None:
    assert quality.pose_of(np.zeros((5, 2), np.float32)).yaw == 90


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ((face(150), texture()), (face(40), texture())),
        ((face(), texture(blur=0.9)), (face(), texture(blur=3))),
        ((face(), texture(mean=128)), (face(), texture(mean=12, contrast=4))),
        ((face(score=0.95), texture()), (face(score=0.5), texture())),
        ((face(points=turned() + 60), texture()), (face(points=turned(yaw=50) + 60), texture())),
    ],
    ids=["size", "sharpness", "light", "confidence", "pose"],
)
def test_each_flaw_lowers_the_score(
    better: tuple[Detections, NDArray[np.uint8]], worse: tuple[Detections, NDArray[np.uint8]]
) -> None:
    best, worst = (quality.measure(one, crop[None])[0].score for one, crop in (better, worse))
    assert 0 <= worst < best <= 1


def test_dimmer_light_is_not_blur() -> None:
    bright = quality.measure(face(), texture(160, 40, blur=2)[None])[0].sharpness
    dim = quality.measure(face(), (texture(160, 40, blur=2) // 3)[None])[0].sharpness
    assert dim == pytest.approx(bright, rel=0.15)


def test_a_blank_crop_has_a_finite_quality() -> None:
    for level in (0, 255):
        found = quality.measure(face(), np.full((1, 112, 112, 3), level, np.uint8))[0]
        assert found.sharpness == 0
        assert found.score == 0


def test_crops_that_do_not_belong_are_refused() -> None:
    with pytest.raises(ValueError, match="2 crops do not belong to 1 faces"):
        quality.measure(face(), np.zeros((2, 112, 112, 3), np.uint8))


@pytest.mark.parametrize(
    ("faces", "crop", "reason", "words"),
    [
        (face(), texture(), PhotoReason.ACCEPTED, "accepted with quality 0.9"),
        (Detections.empty(), texture(), PhotoReason.NO_FACE, "no face"),
        (face(score=0.45), texture(), PhotoReason.LOW_CONFIDENCE, r"0.45; 0.60 is needed"),
        (together(face(), face(left=300)), texture(), PhotoReason.SEVERAL_FACES, "2 faces"),
        (face(30), texture(), PhotoReason.FACE_TOO_SMALL, "30 pixels wide; 60 are needed"),
        (face(), texture(blur=4, contrast=20), PhotoReason.FACE_BLURRED, r"sharpness 0\.\d\d; at least 0.35"),
        (face(points=turned(yaw=50) + 60), texture(), PhotoReason.FACE_TURNED, "turned by about 5"),
        (face(), texture(mean=8, contrast=3), PhotoReason.TOO_DARK, r"0.03; at least 0.10"),
        (face(), texture(mean=250, contrast=3), PhotoReason.TOO_BRIGHT, r"0.98; at most 0.90"),
    ],
    ids=lambda value: str(value) if isinstance(value, PhotoReason) else "",
)
def test_a_photo_is_accepted_or_refused_with_measured_and_needed(
    faces: Detections, crop: NDArray[np.uint8], reason: PhotoReason, words: str
) -> None:
    crops = np.repeat(crop[None], len(faces), axis=0)
    assessment = quality.assess_enrolment(faces, crops, min_confidence=0.6)
    assert assessment.reason is reason
    assert assessment.accepted is (reason is PhotoReason.ACCEPTED)
    assert re.search(words, assessment.message), assessment.message


@pytest.mark.parametrize(
    "other",
    [face(30, 0.9, left=300), face(150, 0.7, left=300), face(150, 0.4, left=300)],
    ids=["far in the background", "hardly a face", "doubtful"],
)
def test_what_is_no_second_person_does_not_spoil_a_photo(other: Detections) -> None:
    crops = np.stack([texture(), texture()])
    assert quality.assess_enrolment(together(face(), other), crops, min_confidence=0.6).face == 0


def test_a_face_that_is_not_upright_is_refused() -> None:
    found = quality.assess_enrolment(face(), texture()[None], min_confidence=0.6, upright=False)
    assert found.reason is PhotoReason.FACE_NOT_UPRIGHT
    assert "turn the photo" in found.message
