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
