"""A sighting together with the decision on its identity."""

import uuid
from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, Field

from vigil_contracts.base import Tolerant
from vigil_contracts.events.sighting import Finite, Sighting


class IdentityStatus(StrEnum):
    """The result of the search in the gallery."""

    KNOWN = "Known"
    UNKNOWN = "Unknown"
    UNDETERMINED = "Undetermined"
    """No shot was good enough to compare."""


class IdentityReason(StrEnum):
    """Why a sighting was recognised, or was not."""

    RECOGNISED = "Recognised"
    """One Subject is similar enough, and no other is nearly as similar."""
    BELOW_THRESHOLD = "BelowThreshold"
    """No Subject is similar enough."""
    AMBIGUOUS = "Ambiguous"
    """Two Subjects are about equally similar: they look alike, or are one person under two names."""
    SHOTS_DISAGREE = "ShotsDisagree"
    """The shots may be of more than one person."""
    NOBODY_TO_COMPARE = "NobodyToCompare"
    """No Subject may be recognised now, or the nearest one has been erased."""
    NO_FACE = "NoFace"
    """No shot was good enough to compare."""


class SubjectRef(Tolerant):
    """The Subject that a sighting was of."""

    subject_id: uuid.UUID
    namespace: str
    name: str
    display_name: str


class Identity(Tolerant):
    """The person of a sighting, with the similarity behind the decision."""

    status: IdentityStatus
    subject: SubjectRef | None = None
    similarity: Finite | None = None
    """Cosine of the best Subject, also when it stayed below the threshold."""
    runner_up_similarity: Finite | None = None
    threshold: Finite | None = None
    margin: Finite | None = None
    model_id: str | None = None
    decided_at: AwareDatetime
    reason: IdentityReason | None = None
    """None: decided by an earlier version."""

    def derive_reason(self) -> IdentityReason:
        """Return the reason that the status and the similarities show, for an identity that is stored without it."""
        if self.status is IdentityStatus.KNOWN:
            return IdentityReason.RECOGNISED
        if self.status is IdentityStatus.UNDETERMINED:
            return IdentityReason.NO_FACE
        if self.similarity is None:
            return IdentityReason.NOBODY_TO_COMPARE
        if self.similarity < (self.threshold or 0):
            return IdentityReason.BELOW_THRESHOLD
        lead = None if self.runner_up_similarity is None else self.similarity - self.runner_up_similarity
        if lead is not None and lead < (self.margin or 0):
            return IdentityReason.AMBIGUOUS
        return IdentityReason.SHOTS_DISAGREE


class Match(Tolerant):
    """A revision of a sighting with its identity, at its place in the site's order."""

    seq: Annotated[int, Field(ge=1)]
    """Gap-free, in order of commit."""
    revision: Annotated[int, Field(ge=1)]
    """The revision that this event reports."""
    superseded: bool = False
    """A later revision had already been seen; `sighting` and `identity` are then those of the later one."""
    sighting: Sighting
    """Without embeddings."""
    identity: Identity
    previous: SubjectRef | None = None
    """The Subject that the revision before named, when this one names another or nobody: a correction."""
