"""What the gateway's registry answers: how an enrolment went, what an erasure removed."""

import datetime as dt
import hashlib
import uuid
from collections.abc import Mapping
from enum import StrEnum

from vigil_contracts.base import Tolerant


class PhotoReason(StrEnum):
    """Why a photo was taken into the gallery, or refused."""

    ACCEPTED = "Accepted"
    NOT_AN_IMAGE = "NotAnImage"
    TOO_LARGE = "TooLarge"
    NO_FACE = "NoFace"
    SEVERAL_FACES = "SeveralFaces"
    LOW_CONFIDENCE = "LowConfidence"
    FACE_TOO_SMALL = "FaceTooSmall"
    FACE_BLURRED = "FaceBlurred"
    FACE_TURNED = "FaceTurned"
    TOO_DARK = "TooDark"
    TOO_BRIGHT = "TooBright"
    NOT_THE_SAME_PERSON = "NotTheSamePerson"
    NOT_FOUND = "NotFound"
    CHECKSUM_MISMATCH = "ChecksumMismatch"
    MISSING = "Missing"


class PhotoResult(Tolerant):
    """What became of one photo."""

    name: str
    accepted: bool
    reason: PhotoReason
    message: str = ""
    """What was measured and what was needed."""
    quality: float | None = None
    """0 to 1; None when no face was measured."""
    sha256: str | None = None
    """Of the bytes that were judged; None when none came."""


class EnrolmentReport(Tolerant):
    """Answer to a Subject that was put into the registry."""

    subject_id: uuid.UUID
    enrolled: bool
    """At least one photo is in the gallery and the Subject may be matched now or later."""
    reason: str
    """Enrolled, ConsentNotGranted, NoUsablePhoto or Expired."""
    message: str = ""
    photos: list[PhotoResult] = []
    model_id: str | None = None
    digest: str | None = None
    """`enrolment_digest` of what was put: who would put the same again need not."""


def enrolment_digest(spec: str, photos: Mapping[str, str | None]) -> str:
    """Tell two enrolments apart: the same digest means that putting it again would change nothing.

    Parameters
    ----------
    spec
        The Subject's spec as JSON, as `SubjectSpec.model_dump_json(by_alias=True)` writes it.
    photos
        sha256 of each photo's bytes by its name; None for those that are missing.
    """
    digest = hashlib.sha256(spec.encode())
    for name, sha256 in sorted(photos.items()):
        digest.update(f"\n{name}={sha256 or ''}".encode())
    return digest.hexdigest()


class ErasureReceipt(Tolerant):
    """Answer to a Subject or Camera that was taken out of the registry: what was removed, counted."""

    subject_id: uuid.UUID | None = None
    erased_at: dt.datetime
    counts: dict[str, int] = {}
    """Removed rows or vectors by place, such as `postgres.subject_embeddings` and `qdrant.vectors`."""


class DetectorStatus(Tolerant):
    """The detector that is served, as far as it tells."""

    model_id: str
    instances: int | None = None
    """Instances of the first Triton that answers; None when it does not say."""
    reference_ms: float | None = None
    """Milliseconds that one instance takes for one picture of 640x384, as the catalogue measured it."""


class RegistryStatus(Tolerant):
    """How the identity program stands."""

    cameras: int
    subjects: int
    vectors: int
    model_id: str | None
    last_seq: int
    rejected_events: int
    backlog: int | None = None
    """Sighting events on the bus that are not yet consumed."""
    site: str | None = None
    """The Site that is served."""
    gallery_version: int = 0
    """Grows by one with each change of what the gallery holds."""
    detector: DetectorStatus | None = None
    """None while no Triton has answered."""
