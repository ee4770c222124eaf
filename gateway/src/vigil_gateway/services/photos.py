"""Assessment of a Subject's photos: each alone, then against each other. Pure but for the calls to Triton."""

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vigil_contracts.registry import PhotoReason
from vigil_gateway.storage.postgres.resource_rows import PhotoRow
from vigil_vision.faces.enrolment import enroll_photo
from vigil_vision.faces.models import FaceModels

RELATIVE: Final = frozenset({PhotoReason.NOT_THE_SAME_PERSON, PhotoReason.MISSING, PhotoReason.CHECKSUM_MISMATCH})
"""Reasons that depend on the other photos or on the manifest: the same bytes may be accepted later."""


def assess(models: FaceModels, name: str, data: bytes, model_id: str, deadline_s: float) -> PhotoRow:
    """Return the assessment of one photo, with its embedding when accepted; blocks for two calls of Triton.

    Raises
    ------
    InferenceError
        No Triton answers.
    """
    made = enroll_photo(models, data, deadline_s=deadline_s)
    measured = made.assessment.quality
    return PhotoRow(
        name=name,
        sha256=hashlib.sha256(data).hexdigest(),
        # The detector refuses, but the refusal belongs to the enrolment under this model.
        model_id=made.model_id or model_id,
        accepted=made.embedding is not None,
        reason=str(made.assessment.reason),
        message=made.assessment.message,
        quality=dataclasses.asdict(measured) if measured is not None else None,
        vector=made.embedding.astype("<f4").tobytes() if made.embedding is not None else None,
    )


def refused(name: str, reason: PhotoReason, message: str, sha256: str | None = None) -> PhotoRow:
    """Return the assessment of a photo that is refused unseen."""
    return PhotoRow(name, sha256, None, accepted=False, reason=str(reason), message=message, quality=None)


def same_person(photos: Sequence[PhotoRow], least: float) -> list[PhotoRow]:
    """Return the assessments, with photos refused that do not show the person whom most of the photos show.

    The photo that resembles the most others stands for the person; photos that do not resemble it are refused. Where no
    photo resembles more than half of them, all are refused: to enrol the wrong person is worse than to enrol nobody.

    Parameters
    ----------
    photos
        Of one Subject.
    least
        Cosine from which two photos may be of one person.
    """
    good = [number for number, photo in enumerate(photos) if photo.vector is not None]
    if len(good) < 2:
        return list(photos)
    vectors = np.array([np.frombuffer(photos[number].vector or b"", "<f4") for number in good])
    similar = vectors @ vectors.T
    resembling = (similar >= least).sum(axis=1)
    centre = int(np.argmax(resembling * 10.0 + similar.sum(axis=1) / len(good)))
    majority = int(resembling[centre]) * 2 > len(good)
    assessed = list(photos)
    for place, number in enumerate(good):
        if not majority or similar[centre, place] < least:
            message = _message([photos[n].name for n in good], similar, (place, centre), least, majority=majority)
            assessed[number] = dataclasses.replace(
                photos[number],
                accepted=False,
                reason=str(PhotoReason.NOT_THE_SAME_PERSON),
                message=message,
                vector=None,
            )
    return assessed


def _message(
    names: list[str], similar: NDArray[np.float32], pair: tuple[int, int], least: float, *, majority: bool
) -> str:
    place, centre = pair
    if majority:
        return (
            f"does not resemble photo {names[centre]} (similarity {similar[place, centre]:.2f}; {least:.2f} is needed)"
        )
    others = ", ".join(f"{name} {similar[place, other]:.2f}" for other, name in enumerate(names) if other != place)
    return f"the photos do not show one person (similarity to {others}; {least:.2f} is needed); remove photos of others"
