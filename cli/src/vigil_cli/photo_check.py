"""Assess photos as enrolment does, before anything is started."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vigil_vision.faces.enrolment import PhotoEnrolment, enroll_photo
from vigil_vision.faces.models import FaceModels


@dataclass(frozen=True, slots=True)
class CheckedPhoto:
    """A photo and the result of its enrolment."""

    path: Path
    data: bytes
    enrolment: PhotoEnrolment


def check_photos(models: FaceModels, photos: dict[Path, bytes]) -> list[CheckedPhoto]:
    """Return the result of detection, assessment and embedding of every photo."""
    return [CheckedPhoto(path, data, enroll_photo(models, data)) for path, data in photos.items()]


def strangers(photos: list[CheckedPhoto], least: float) -> list[tuple[CheckedPhoto, float]]:
    """Return the photos that resemble none of the others, with their highest similarity.

    Parameters
    ----------
    least
        Cosine from which two photos are of one person (`EmbedderInfo.one_person`).
    """
    usable = [photo for photo in photos if photo.enrolment.embedding is not None]
    found = []
    for photo in usable:
        others = [similarity(photo, other) for other in usable if other is not photo]
        if others and max(others) < least:
            found.append((photo, max(others)))
    return found


def similarity(one: CheckedPhoto, other: CheckedPhoto) -> float:
    """Return the similarity of two usable photos: the cosine, -1 to 1."""
    return float(np.dot(_embedding(one), _embedding(other)))


def _embedding(photo: CheckedPhoto) -> NDArray[np.float32]:
    if photo.enrolment.embedding is None:
        msg = f"{photo.path} has no embedding"
        raise ValueError(msg)
    return photo.enrolment.embedding
