"""From a Subject's photos to what is kept of them: each assessed alone, then held against each other."""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vigil_contracts.registry import PhotoReason
from vigil_gateway.storage.postgres.register import PhotoRow
from vigil_vision.faces.enrolment import enrol_photo
from vigil_vision.faces.models import FaceModels

RELATIVE: Final = frozenset({PhotoReason.NOT_THE_SAME_PERSON, PhotoReason.MISSING, PhotoReason.CHECKSUM_MISMATCH})
"""Reasons that lie in the other photos or in the manifest: the same bytes may be accepted next time."""


def assess(models: FaceModels, name: str, data: bytes, model_id: str, deadline_s: float) -> PhotoRow:
    """Take one photo to an embedding or a reason; blocks for as long as two calls take.

    Raises
    ------
    InferenceError
        No Triton answers.
    """
    made = enrol_photo(models, data, deadline_s=deadline_s)
    measured = made.assessment.quality
    return PhotoRow(
        name=name,
        sha256=hashlib.sha256(data).hexdigest(),
        # A refusal is the detector's word, but belongs to the enrolment under this model.
        model_id=made.model_id or model_id,
        accepted=made.embedding is not None,
        reason=str(made.assessment.reason),
        message=made.assessment.message,
        quality=json.dumps(dataclasses.asdict(measured)) if measured is not None else None,
        vector=made.embedding.astype("<f4").tobytes() if made.embedding is not None else None,
    )


def refused(name: str, reason: PhotoReason, message: str, sha256: str | None = None) -> PhotoRow:
    """Say that a photo was not even looked at."""
    return PhotoRow(name, sha256, None, accepted=False, reason=str(reason), message=message, quality=None)


def same_person(photos: Sequence[PhotoRow], least: float) -> list[PhotoRow]:
    """Refuse photos that do not show the person whom most of the photos show.

    The photo that resembles the most others stands for the person; who does not resemble it is refused. Where no photo
    has more friends than strangers, nobody can say who is meant, and all are refused: to enrol the wrong person is
    worse than to enrol nobody.

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
    friends = (similar >= least).sum(axis=1)
    centre = int(np.argmax(friends * 10.0 + similar.sum(axis=1) / len(good)))
    majority = int(friends[centre]) * 2 > len(good)
    judged = list(photos)
    for place, number in enumerate(good):
        if not majority or similar[centre, place] < least:
            told = _told([photos[n].name for n in good], similar, (place, centre), least, majority=majority)
            judged[number] = dataclasses.replace(
                photos[number], accepted=False, reason=str(PhotoReason.NOT_THE_SAME_PERSON), message=told, vector=None
            )
    return judged


def _told(
    names: list[str], similar: NDArray[np.float32], pair: tuple[int, int], least: float, *, majority: bool
) -> str:
    place, centre = pair
    if majority:
        return (
            f"does not resemble photo {names[centre]} (similarity {similar[place, centre]:.2f}; {least:.2f} is needed)"
        )
    others = ", ".join(f"{name} {similar[place, other]:.2f}" for other, name in enumerate(names) if other != place)
    return f"the photos do not show one person (similarity to {others}; {least:.2f} is needed); remove the wrong ones"
