"""The rows of what is registered, typed: the fields of each are the columns of its table."""

import datetime as dt
import uuid
from dataclasses import dataclass, field
from typing import Any, Final

from vigil_contracts import events
from vigil_contracts.ids import ResourceKey
from vigil_contracts.resources.subject import ConsentStatus
from vigil_gateway.storage.postgres.columns import NO_COLUMN, Columns


class _Named:
    """A row with a namespace and a name."""

    __slots__ = ()
    namespace: str
    name: str

    @property
    def key(self) -> ResourceKey:
        """Namespace and name."""
        return ResourceKey(self.namespace, self.name)


@dataclass(frozen=True, slots=True)
class CameraRow(_Named):
    """A registered camera."""

    namespace: str
    name: str
    uid: uuid.UUID | None
    site: str
    resource: dict[str, Any]
    registrar: uuid.UUID | None
    created_at: dt.datetime
    updated_at: dt.datetime
    deleted_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class CameraRuleRow(_Named):
    """The recognition settings of a camera's resource.

    Attributes
    ----------
    threshold_permille
        Instead of the model's threshold.
    """

    namespace: str
    name: str
    deleted_at: dt.datetime | None
    mode: str | None
    threshold_permille: int | None


@dataclass(frozen=True, slots=True)
class RetentionRow(_Named):
    """How long the sightings of a camera are kept, as durations in the resources; None where one sets none."""

    namespace: str
    name: str
    camera: str | None
    site: str | None


@dataclass(frozen=True, slots=True)
class RegisteredRow:
    """A registered resource of any kind: which one it is, and which installation registered it."""

    namespace: str
    name: str
    uid: uuid.UUID | None
    registrar: uuid.UUID | None


@dataclass(frozen=True, slots=True)
class PhotoRow:
    """The assessment of a photo; never the photo.

    Attributes
    ----------
    quality
        Measurements by name; None when no face was measured.
    vector
        The embedding under the same model, little-endian float32, where enrolment needs it; None when refused.
    """

    name: str
    sha256: str | None
    model_id: str | None
    accepted: bool
    reason: str
    message: str
    quality: dict[str, Any] | None
    vector: bytes | None = field(default=None, metadata=NO_COLUMN)

    @property
    def score(self) -> float | None:
        """All of the quality in one number, 0 to 1."""
        return None if self.quality is None else self.quality.get("score")


@dataclass(frozen=True, slots=True)
class SubjectRow(_Named):
    """A registered Subject, with the assessment of its photos where a reader adds it.

    Attributes
    ----------
    granted_at
        When consent was granted after it had been pending or withdrawn; None: it was granted from the start.
    """

    id: uuid.UUID
    namespace: str
    name: str
    display_name: str
    external_id: str | None
    category: str | None
    consent: str
    active_from: dt.datetime | None
    active_until: dt.datetime | None
    created_at: dt.datetime
    updated_at: dt.datetime
    granted_at: dt.datetime | None = None
    photos: tuple[PhotoRow, ...] = field(default=(), metadata=NO_COLUMN)

    @property
    def ref(self) -> events.SubjectRef:
        """The Subject as an event names it."""
        return events.SubjectRef(
            subject_id=self.id, namespace=self.namespace, name=self.name, display_name=self.display_name
        )

    def active(self, *moments: dt.datetime) -> bool:
        """Return whether the Subject may be recognised at all of these moments and between them."""
        first, last = min(moments), max(moments)
        begun = all(start is None or start <= first for start in (self.active_from, self.granted_at))
        ended = self.active_until is not None and self.active_until <= last
        return self.consent == ConsentStatus.GRANTED and begun and not ended


@dataclass(frozen=True, slots=True)
class NewSubjectRow(_Named):
    """A Subject as enrolment writes it."""

    id: uuid.UUID
    namespace: str
    name: str
    display_name: str
    external_id: str | None
    category: str | None
    resource: dict[str, Any]
    content_hash: str | None
    consent: str
    active_from: dt.datetime | None
    active_until: dt.datetime | None
    registrar: uuid.UUID | None


@dataclass(frozen=True, slots=True)
class SubjectResourceRow:
    """The resource of a Subject as it was registered last, and the installation that registered it."""

    id: uuid.UUID
    resource: dict[str, Any]
    registrar: uuid.UUID | None


@dataclass(frozen=True, slots=True)
class EmbeddingRow:
    """One embedding of a Subject.

    Attributes
    ----------
    vector
        Little-endian float32, unit length.
    """

    subject_id: uuid.UUID
    photo: str
    model_id: str
    vector: bytes


@dataclass(frozen=True, slots=True)
class EmbeddingDigestRow:
    """Which embedding a Subject's photo has, without the vector."""

    subject_id: uuid.UUID
    photo: str
    digest: str


@dataclass(frozen=True, slots=True)
class ErasureRow:
    """An erasure, begun or finished.

    Attributes
    ----------
    counts
        The number of erased entries, by store.
    """

    subject_id: uuid.UUID
    key_digest: bytes
    started_at: dt.datetime
    erased_at: dt.datetime | None
    counts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ModelRow:
    """A recognition model that is or was served."""

    id: str
    embedding_size: int
    threshold_permille: int
    margin_permille: int


@dataclass(frozen=True, slots=True)
class CountsRow:
    """The numbers of the registry's status.

    Attributes
    ----------
    vectors
        Embeddings of the current model.
    last_seq
        The seq of the newest event.
    """

    cameras: int
    subjects: int
    vectors: int
    last_seq: int
    rejected_events: int
    gallery_version: int


CAMERAS: Final = Columns(CameraRow)
CAMERA_RULES: Final = Columns(
    CameraRuleRow,
    {
        "mode": "resource #>> '{spec,recognition,mode}'",
        "threshold_permille": "(resource #>> '{spec,recognition,thresholdPermille}')::int",
    },
)
RETENTIONS: Final = Columns(
    RetentionRow,
    {
        "namespace": "c.namespace",
        "name": "c.name",
        "camera": "c.resource #>> '{spec,retention,sightings}'",
        "site": "s.resource #>> '{spec,retention,sightings}'",
    },
)
REGISTERED: Final = Columns(RegisteredRow)
PHOTOS: Final = Columns(PhotoRow)
SUBJECTS: Final = Columns(SubjectRow)
NEW_SUBJECTS: Final = Columns(NewSubjectRow)
SUBJECT_RESOURCES: Final = Columns(SubjectResourceRow)
EMBEDDINGS: Final = Columns(EmbeddingRow)
EMBEDDING_DIGESTS: Final = Columns(EmbeddingDigestRow, {"digest": "encode(sha256(vector), 'hex')"})
ERASURES: Final = Columns(ErasureRow)
MODELS: Final = Columns(ModelRow)
COUNTS: Final = Columns(
    CountsRow,
    {
        "cameras": "(SELECT count(*) FROM cameras WHERE deleted_at IS NULL)",
        "subjects": "(SELECT count(*) FROM subjects)",
        "vectors": "(SELECT count(*) FROM subject_embeddings WHERE model_id = $1)",
        "last_seq": "(SELECT last FROM event_counter)",
        "rejected_events": "(SELECT count(*) FROM rejected_events)",
        "gallery_version": "(SELECT last FROM gallery_version)",
    },
)
