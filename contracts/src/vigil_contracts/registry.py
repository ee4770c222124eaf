"""What the gateway's registry answers: how an enrolment went, what an erasure removed."""

import datetime as dt
import hashlib
import uuid
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from vigil_contracts.base import Tolerant

MAX_PHOTO_BYTES: Final = 20 << 20
"""Of one photo, unless identity is told otherwise."""

MAX_UPLOAD_BYTES: Final = 64 << 20
"""Of one request to the registry, unless identity is told otherwise."""

MAX_PHOTOS_BYTES: Final = 60 << 20
"""Of all photos of one Subject together: a request holds them beside the Subject itself."""

KEPT_FIELD: Final = "kept"
"""Form field of a Subject's PUT that need not be there: a JSON object of sha256 by the name of a photo that cannot be
sent again. One that is known by this sha256 stays, if the Subject says this sha256 or takes the photo from the same
place as when it was put last."""


class PhotoReason(StrEnum):
    """Why a photo was taken into the gallery, or refused."""

    ACCEPTED = "Accepted"
    """The photo is in the gallery. Nothing is to be done."""
    NOT_AN_IMAGE = "NotAnImage"
    """The bytes are no picture that can be read. Give a JPEG or PNG."""
    TOO_LARGE = "TooLarge"
    """The file or the picture is too large. Give a smaller one; 1000 pixels across are plenty."""
    NO_FACE = "NoFace"
    """No face was found. Give a photo of the face from the front."""
    SEVERAL_FACES = "SeveralFaces"
    """More than one face was found. Cut the others away."""
    LOW_CONFIDENCE = "LowConfidence"
    """It is not sure that this is a face. Give a clearer photo."""
    FACE_TOO_SMALL = "FaceTooSmall"
    """The face is too small. Give a photo taken from nearer, or with more pixels."""
    FACE_BLURRED = "FaceBlurred"
    """The face is blurred. Give a sharp photo."""
    FACE_TURNED = "FaceTurned"
    """The face looks away. Give a photo from the front."""
    TOO_DARK = "TooDark"
    """The face is too dark. Give a photo with more light."""
    TOO_BRIGHT = "TooBright"
    """The face is too bright. Give a photo with less light."""
    NOT_THE_SAME_PERSON = "NotTheSamePerson"
    """The face is unlike those of the other photos. Remove the photo of somebody else."""
    NOT_FOUND = "NotFound"
    """The Secret, ConfigMap, key or file is not there. Create it or correct the reference."""
    CHECKSUM_MISMATCH = "ChecksumMismatch"
    """The bytes have another sha256 than the spec says. Give the photo that was agreed to, or its sha256."""
    MISSING = "Missing"
    """The photo did not reach the identity service. It is sent again; if this stays, read the operator's log."""


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
    registrar: uuid.UUID | None = None
    """As in `RegisteredKey`."""


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


class RegisteredKey(Tolerant):
    """A resource that is registered."""

    namespace: str
    name: str
    uid: uuid.UUID | None = None
    """As the API server gave it; None: it was put by something else than an operator."""
    registrar: uuid.UUID | None = None
    """Which installation put it last: the uid of the Lease of its operator, which is as old as the installation's
    namespace. None: it was not told."""


class RegisteredPage(Tolerant):
    """Answer to a question for what is registered of one kind, by namespace and name."""

    items: list[RegisteredKey]
    more: bool = False
    """Ask again with `after=<namespace>/<name>` of the last."""


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
