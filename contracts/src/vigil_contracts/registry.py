"""Responses of identity's registry: enrolment reports, erasure receipts, pages of keys, status."""

import datetime as dt
import hashlib
import uuid
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from vigil_contracts.addresses import PublicText
from vigil_contracts.base import Tolerant

MAX_PHOTO_BYTES: Final = 20 << 20
"""Largest size of one photo, unless a setting of identity changes it."""

MAX_UPLOAD_BYTES: Final = 64 << 20
"""Largest size of one request to the registry, unless a setting of identity changes it."""

MAX_PHOTOS_BYTES: Final = 60 << 20
"""Largest size of all photos of one Subject together: a request holds them beside the Subject itself."""

KEPT_FIELD: Final = "kept"
"""Optional form field of a Subject's PUT: a JSON object of sha256 by the name of a photo that is not sent again. A
photo that identity knows by this sha256 stays, if the Subject states the same sha256 or names the same source as
before."""


class PhotoReason(StrEnum):
    """Why a photo was accepted into the gallery, or refused."""

    ACCEPTED = "Accepted"
    """The photo is in the gallery. Nothing is to be done."""
    NOT_AN_IMAGE = "NotAnImage"
    """The bytes are no image that can be read; the message names their kind. Use a JPEG, PNG, WebP or AVIF."""
    TOO_LARGE = "TooLarge"
    """The file or the image is too large. Use a smaller one; 1000 pixels across are plenty."""
    NO_FACE = "NoFace"
    """No face was found. Use a photo of the face from the front."""
    SEVERAL_FACES = "SeveralFaces"
    """More than one face was found. Crop the photo to one face."""
    LOW_CONFIDENCE = "LowConfidence"
    """The detector is not sure that this is a face. Use a clearer photo."""
    FACE_TOO_SMALL = "FaceTooSmall"
    """The face is too small. Use a photo taken from nearer, or with more pixels."""
    FACE_BLURRED = "FaceBlurred"
    """The face is blurred. Use a sharp photo."""
    FACE_GRAINY = "FaceGrainy"
    """The photo is a grainy copy: a print, a dithered scan, a photo of a screen. Use the original photo."""
    FACE_TURNED = "FaceTurned"
    """The face looks away. Use a photo from the front."""
    FACE_NOT_UPRIGHT = "FaceNotUpright"
    """The face lies on its side or stands on its head, and turning the photo did not bring it upright with certainty.
    Turn the photo until the face is upright."""
    FACE_HIDDEN = "FaceHidden"
    """A part of the face is cut off or covered, such as the eyes by sunglasses or the mouth by a mask. Use a photo of
    the whole face from the front."""
    TOO_DARK = "TooDark"
    """The face is too dark. Use a photo with more light."""
    TOO_BRIGHT = "TooBright"
    """The face is too bright. Use a photo with less light."""
    NOT_THE_SAME_PERSON = "NotTheSamePerson"
    """The face differs from those of the other photos. Remove the photo of the other person."""
    NOT_FOUND = "NotFound"
    """The Secret, ConfigMap, key or file is not there. Create it or correct the reference."""
    NOT_READABLE = "NotReadable"
    """The Secret lacks the label `vigil.dev/readable-by=Subject`, so nothing of it is read. Set the label."""
    CHECKSUM_MISMATCH = "ChecksumMismatch"
    """The bytes have another sha256 than the spec states. Use the photo that was agreed to, or correct the sha256."""
    MISSING = "Missing"
    """The photo did not reach the identity service. It is sent again; if this stays, read the operator's log."""


class PhotoResult(Tolerant):
    """The result for one photo."""

    name: str
    accepted: bool
    reason: PhotoReason
    message: PublicText = ""
    """The measured value and the required one."""
    quality: float | None = None
    """0 to 1; None when no face was measured."""
    sha256: str | None = None
    """The digest of the bytes that were assessed; None when the photo was missing."""


class Lookalike(Tolerant):
    """Another Subject that is as similar as the same person: sightings of the two are unknown or doubtful."""

    namespace: str
    name: str
    similarity: float
    """Cosine of their most similar templates, at least the model's threshold."""


class EnrolmentReport(Tolerant):
    """The response to the PUT of a Subject."""

    subject_id: uuid.UUID
    enrolled: bool
    """At least one photo is in the gallery and the Subject may be matched now or later."""
    reason: str
    """Enrolled, ConsentNotGranted, NoUsablePhoto or Expired."""
    message: PublicText = ""
    photos: list[PhotoResult] = []
    model_id: str | None = None
    digest: str | None = None
    """`enrolment_digest` of this enrolment: a client with the same digest need not send it again."""
    registrar: uuid.UUID | None = None
    """As in `RegisteredKey`."""
    lookalikes: list[Lookalike] = []
    """Subjects that look like the same person, most similar first; at most five."""


def enrolment_digest(spec: str, photos: Mapping[str, str | None]) -> str:
    """Return the digest of an enrolment: with the same digest, sending it again would change nothing.

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
    """The response to the DELETE of a Subject, Camera or Site: the number of removed entries."""

    subject_id: uuid.UUID | None = None
    erased_at: dt.datetime
    counts: dict[str, int] = {}
    """Removed rows or vectors by store, such as `postgres.subject_embeddings` and `qdrant.vectors`."""


class Tombstone(Tolerant):
    """What the bus keeps of an erased Subject, so that a restored backup does not bring the person back."""

    subject_id: uuid.UUID
    key_digest: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    """sha256 of `<namespace>/<name>`, in hexadecimal."""
    begun_at: dt.datetime


class RegisteredKey(Tolerant):
    """A resource that is registered."""

    namespace: str
    name: str
    uid: uuid.UUID | None = None
    """The uid from the API server; None: another client than an operator registered it."""
    registrar: uuid.UUID | None = None
    """The installation that registered it last: the uid of the Lease of its operator, which is as old as the
    installation's namespace. None: unknown."""


class RegisteredPage(Tolerant):
    """One page of the keys that are registered of one kind, by namespace and name."""

    items: list[RegisteredKey]
    more: bool = False
    """There are more: request the next page with `after=<namespace>/<name>` of the last item."""


class DetectorStatus(Tolerant):
    """The detector that is served, as far as it is known."""

    model_id: str
    instances: int | None = None
    """Instances of the first Triton that answers; None when it does not report them."""
    reference_ms: float | None = None
    """Milliseconds that one instance takes for one image of 640x384, as the catalogue measured it."""


class RegistryStatus(Tolerant):
    """The status of the identity program."""

    cameras: int
    subjects: int
    vectors: int
    model_id: str | None
    last_seq: int
    rejected_events: int
    backlog: int | None = None
    """Sighting events on the bus that are not consumed yet."""
    site: str | None = None
    """The Site that is served."""
    gallery_version: int = 0
    """Grows by one with each change of what the gallery holds."""
    detector: DetectorStatus | None = None
    """None while no Triton has answered."""
