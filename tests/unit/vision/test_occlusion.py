"""Hidden parts of a face, measured with an embedder that reads the brightness of four parts."""

import numpy as np
import pytest
from numpy.typing import NDArray

from vigil_contracts.registry import PhotoReason
from vigil_vision.detection import Detections
from vigil_vision.faces import alignment, quality
from vigil_vision.faces.occlusion import Occlusion, hidden_variants, measure_occlusion, outside, part_crops

LANDMARKS = alignment.ARCFACE_112 + np.array([100, 60], np.float32)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (Occlusion(0.0), ""),
        (Occlusion(0.3), "30% of the face lie outside of the photo; at most 10% are allowed"),
        (Occlusion(0.0, eyes=0.4), "the eyes are covered"),
        (Occlusion(0.0, mouth=0.99), "the mouth is covered"),
        (Occlusion(0.0, mouth_detail=0.3), "the mouth is covered"),
        (Occlusion(0.0, one_sided=1.2), "one half of the face is hidden"),
        (Occlusion(0.0, half_score=0.1), "one half of the face is hidden"),
        (Occlusion(0.0, eyes=0.2, eyes_score=0.4), "the eyes are covered"),
        (Occlusion(0.0, eyes=0.2, eyes_score=0.6), ""),
        (Occlusion(0.0, mouth=0.93, mouth_score=0.1), "the mouth is covered"),
        (Occlusion(0.0, mouth=0.8, mouth_score=0.15), ""),
        (Occlusion(0.0, eyes=0.0, eyes_score=0.2), "the eyes are covered"),
        (Occlusion(0.0, mouth=0.8, mouth_score=0.05), "the mouth is covered"),
        (Occlusion(0.05, eyes=0.29, mouth=0.962, mouth_detail=0.67, one_sided=0.63, steady=0.92), ""),
    ],
)
def test_a_hidden_part_is_named_with_the_remedy(found: Occlusion, words: str) -> None:
    assert words in found.message
    assert bool(found.message) is bool(words)
    assert not words or "use a photo" in found.message


@pytest.mark.parametrize(
    ("left", "top", "width", "height", "share"),
    [(0, 0, 400, 300, 0.0), (156, 0, 400, 300, 0.5), (0, 0, 156, 300, 0.5), (0, 124, 400, 300, 0.5)],
    ids=["whole", "left half cut", "right half cut", "upper half cut"],
)
def test_the_share_outside_of_the_image(left: int, top: int, width: int, height: int, share: float) -> None:
    landmarks = LANDMARKS - np.array([left, top], np.float32)
    assert outside((height, width, 3), landmarks) == pytest.approx(share, abs=0.04)


def textured() -> NDArray[np.uint8]:
    noise = np.random.default_rng(4).integers(60, 200, (28, 28, 1), dtype=np.uint8)
    return np.repeat(np.kron(noise, np.ones((4, 4, 1), np.uint8)), 3, axis=2)


def embedded(variants: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Embed faces by the detail of their parts: eyes, mouth, left and right half."""
    grey = variants.astype(np.float32).mean(axis=3)
    parts = [grey[:, 34:70, 14:98], grey[:, 78:108, 24:88], grey[:, :, :56], grey[:, :, 56:]]
    vectors = np.concatenate([(part - part.mean()).reshape(len(part), -1) for part in parts], axis=1)
    units: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return units


def measured(crop: NDArray[np.uint8]) -> Occlusion:
    scores = [float(part.std()) / 128 for part in part_crops(crop)]
    return measure_occlusion(crop, embedded(hidden_variants(crop)), scores, 0.0)


def test_hiding_what_is_hidden_changes_nothing() -> None:
    whole = measured(textured())
    eyes, mouth, half = textured(), textured(), textured()
    eyes[34:70, 14:98] = 128
    mouth[76:112, 20:92] = 128
    half[:, :56] = 128
    assert measured(eyes).eyes > whole.eyes + 0.2
    assert measured(mouth).mouth > whole.mouth
    assert measured(mouth).mouth_detail < 0.4 < whole.mouth_detail
    assert measured(half).one_sided > whole.one_sided + 0.5
    assert measured(half).half_score == 0


def assessed(crop: NDArray[np.uint8]) -> PhotoReason:
    box = np.array([[100, 60, 212, 180]], np.float32)
    found = Detections(box, np.array([0.9], np.float32), LANDMARKS[None].astype(np.float32))
    return quality.assess_enrolment(found, crop[None], min_confidence=0.6).reason


def smooth() -> NDArray[np.uint8]:
    rows, columns = np.mgrid[0:112, 0:112]
    grey = 128 + 60 * np.sin(rows / 2.2) * np.cos(columns / 2.5)
    return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize("kind", ["dithered", "halftone", "screen", "photocopy"])
def test_the_grain_of_a_copy_is_no_sharpness(kind: str) -> None:
    grey = smooth()[..., 0].astype(float)
    rows, columns = np.mgrid[0:112, 0:112]
    thresholds = {
        "dithered": np.random.default_rng(1).integers(0, 256, grey.shape),
        "halftone": 128 + 127 * np.sin((rows + columns) * np.pi / 3) * np.sin((rows - columns) * np.pi / 3),
        "photocopy": np.full(grey.shape, 128),
    }
    changed = grey * (1 + 0.4 * np.sin(columns * 2 * np.pi / 2.6)) if kind == "screen" else None
    if changed is None:
        changed = np.where(grey > thresholds[kind], 245, 10)
    copy = np.repeat(np.clip(changed, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    assert assessed(smooth()) is PhotoReason.ACCEPTED
    assert assessed(copy) is PhotoReason.FACE_GRAINY
