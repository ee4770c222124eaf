"""The rows of sightings and events, typed: the fields of each are the columns of its table.

A new column of a sighting is a field here (and in `SightingRow`'s two conversions), beside the field of the contract's
event, where the stream process sets it (`analyses/faces/sightings.py`), the migration, its entry in `personal_data.py`,
and the field of the GraphQL type (`handlers/graphql/nodes.py`).
"""

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Final, Self

from vigil_contracts import events
from vigil_contracts.events import CloseReason, IdentityStatus, SightingState
from vigil_contracts.ids import ResourceKey
from vigil_gateway.storage.postgres.columns import Columns

_NO_BOX: Final = events.Box(x=0, y=0, width=0, height=0)


@dataclass(frozen=True, slots=True)
class SightingRow:
    """A sighting as of its newest revision, with its identity.

    Attributes
    ----------
    best_shot
        Without its embedding.
    last_seq
        The newest event of this sighting, by its position in the site's order.
    received_at, clock_offset_ms
        Of the newest revision.
    opened_not_before
        None: `opened_at` is the moment inside the id.
    """

    opened_at: dt.datetime
    id: uuid.UUID
    site: str
    camera_namespace: str
    camera_name: str
    session_id: str | None
    state: SightingState
    revision: int
    last_seen_at: dt.datetime
    closed_at: dt.datetime | None
    close_reason: CloseReason | None
    frames: int
    box: events.Box | None
    still: bool
    best_shot: events.BestShot | None
    identity: IdentityStatus
    subject_id: uuid.UUID | None
    subject_namespace: str | None
    subject_name: str | None
    subject_display_name: str | None
    similarity: float | None
    runner_up_similarity: float | None
    threshold: float | None
    margin: float | None
    model_id: str | None
    decided_at: dt.datetime | None
    last_seq: int
    received_at: dt.datetime | None = None
    clock_offset_ms: float | None = None
    opened_not_before: dt.datetime | None = None

    @classmethod
    def from_events(cls, sighting: events.Sighting, who: events.Identity, last_seq: int) -> Self:
        """Return the row of a revision and its identity."""
        subject = who.subject
        return cls(
            opened_at=sighting.opened_at,
            id=sighting.sighting_id,
            site=sighting.site,
            camera_namespace=sighting.camera.namespace,
            camera_name=sighting.camera.name,
            session_id=sighting.session_id,
            state=sighting.state,
            revision=sighting.revision,
            last_seen_at=sighting.last_seen_at,
            closed_at=sighting.closed_at,
            close_reason=sighting.close_reason,
            frames=sighting.frames,
            box=sighting.box,
            still=sighting.still,
            best_shot=sighting.shots[0] if sighting.shots else None,
            identity=who.status,
            subject_id=subject.subject_id if subject else None,
            subject_namespace=subject.namespace if subject else None,
            subject_name=subject.name if subject else None,
            subject_display_name=subject.display_name if subject else None,
            similarity=who.similarity,
            runner_up_similarity=who.runner_up_similarity,
            threshold=who.threshold,
            margin=who.margin,
            model_id=who.model_id,
            decided_at=who.decided_at,
            last_seq=last_seq,
            received_at=sighting.received_at,
            clock_offset_ms=sighting.clock_offset_ms,
            opened_not_before=sighting.opened_not_before,
        )

    @property
    def camera_key(self) -> ResourceKey:
        """The camera that made the sighting."""
        return ResourceKey(self.camera_namespace, self.camera_name)

    def to_sighting(self) -> events.Sighting:
        """Return the sighting as an event has it, with its best shot only and without a trace."""
        return events.Sighting(
            sighting_id=self.id,
            revision=self.revision,
            state=self.state,
            site=self.site,
            camera=events.CameraRef(namespace=self.camera_namespace, name=self.camera_name),
            session_id=self.session_id or "",
            last_seen_at=self.last_seen_at,
            closed_at=self.closed_at,
            close_reason=self.close_reason,
            frames=self.frames,
            box=self.box or _NO_BOX,
            still=self.still,
            shots=[self.best_shot] if self.best_shot else [],
            received_at=self.received_at,
            clock_offset_ms=self.clock_offset_ms,
            bounded_opened_at=self.opened_at if self.opened_not_before else None,
            opened_not_before=self.opened_not_before,
        )

    def to_identity(self) -> events.Identity:
        """Return the identity as an event has it."""
        identity = events.Identity(
            status=self.identity,
            subject=self._subject(),
            similarity=self.similarity,
            runner_up_similarity=self.runner_up_similarity,
            threshold=self.threshold,
            margin=self.margin,
            model_id=self.model_id,
            decided_at=self.decided_at or self.last_seen_at,
        )
        # Derived, not stored: an erasure that removes a similarity changes the reason with it.
        return identity.model_copy(update={"reason": identity.derive_reason()})

    def _subject(self) -> events.SubjectRef | None:
        if self.subject_id is None:
            return None
        return events.SubjectRef(
            subject_id=self.subject_id,
            namespace=self.subject_namespace or "",
            name=self.subject_name or "",
            display_name=self.subject_display_name or "",
        )


@dataclass(frozen=True, slots=True)
class RevisionRow:
    """One revision of a sighting, as it was received."""

    opened_at: dt.datetime
    sighting_id: uuid.UUID
    revision: int
    state: SightingState
    last_seen_at: dt.datetime
    frames: int
    trace: events.Trace | None
    superseded: bool
    received_at: dt.datetime


@dataclass(frozen=True, slots=True)
class MatchRow:
    """The result of the search in the gallery for the newest revision of a sighting.

    Attributes
    ----------
    subject_id, runner_up_id
        The two nearest Subjects, also when they stayed below the threshold.
    """

    opened_at: dt.datetime
    sighting_id: uuid.UUID
    revision: int
    identity: IdentityStatus
    subject_id: uuid.UUID | None
    runner_up_id: uuid.UUID | None
    similarity: float | None
    runner_up_similarity: float | None
    threshold: float | None
    margin: float | None
    model_id: str | None
    decided_at: dt.datetime


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A message that was rejected.

    Attributes
    ----------
    waits_for
        `camera:<namespace>/<name>` or `model:<id>`: what has to become known for the message to be processed after all.
    received_at
        By the bus.
    clock_offset_ms
        How far the sender's clock was ahead of the bus' then; None: not known.
    """

    subject: str
    stream_seq: int | None
    reason: str
    message: str
    waits_for: str | None
    payload: bytes
    received_at: dt.datetime
    clock_offset_ms: float | None


@dataclass(frozen=True, slots=True)
class WaitingRow:
    """A rejected message that can be processed now."""

    id: int
    subject: str
    stream_seq: int | None
    payload: bytes
    received_at: dt.datetime
    clock_offset_ms: float | None


@dataclass(frozen=True, slots=True)
class EventRow:
    """One event of the outbox and the event log.

    Attributes
    ----------
    seq
        Position in the site's order, gap-free over all types.
    type
        The type of the CloudEvent, such as `dev.vigil.match.v1`.
    subject
        On the bus.
    payload
        The event's data as JSON.
    """

    seq: int
    type: str
    subject: str
    payload: str


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """Where an event is in the bus' stream; None when it was not published."""

    seq: int
    stream_seq: int | None


@dataclass(frozen=True, slots=True)
class MissingRow:
    """Events of a journal that were not processed.

    Attributes
    ----------
    events
        How many.
    ranges
        Their positions, as Postgres writes a multirange: `{[3,5),[9,10)}`.
    """

    camera_namespace: str
    camera_name: str
    epoch: str
    events: int
    ranges: str


SIGHTINGS: Final = Columns(SightingRow)
BY_CLAIMED_MOMENT: Final = """
    (opened_at, id) IN (SELECT * FROM unnest($1::timestamptz[], $2::uuid[])) AND opened_not_before IS NULL
"""
"""The condition for sightings by the moments inside their ids and the ids, where those moments are believed."""
BY_ID_ALONE: Final = "id = ANY($2::uuid[]) AND opened_not_before IS NOT NULL"
"""The condition for the others, by an index of their own."""
REVISIONS: Final = Columns(RevisionRow)
MATCHES: Final = Columns(MatchRow)
WAITING: Final = Columns(WaitingRow)
MISSING: Final = Columns(
    MissingRow,
    {"events": "(SELECT sum(upper(one) - lower(one)) FROM unnest(fresh) AS one)::bigint", "ranges": "fresh::text"},
)
_MATCH_SUBJECT: Final = """
    'vigil.' || (payload #>> '{sighting,site}') || '.match.'
    || (payload #>> '{sighting,camera,namespace}') || '_' || (payload #>> '{sighting,camera,name}')
"""
"""The subject of an event that was written before step 0005; null where the payload lacks a part of it."""
EVENTS: Final = Columns(EventRow, {"subject": f"coalesce(subject, {_MATCH_SUBJECT}, '')", "payload": "payload::text"})
PUBLISHED: Final = Columns(PublishedRow)
