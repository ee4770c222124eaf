"""From a revision and its decision to rows and events, and from a row back to the sighting; pure."""

import datetime as dt
from dataclasses import dataclass

from vigil_contracts import bus
from vigil_contracts.events import MATCH_TYPE, Identity, Match, Sighting, SubjectRef
from vigil_gateway.identity.decision import Decision
from vigil_gateway.storage.postgres.resource_rows import CameraRuleRow
from vigil_gateway.storage.postgres.rows import MatchRow, RevisionRow, SightingRow
from vigil_gateway.storage.postgres.sightings import NewEvent, RevisionKey


@dataclass(frozen=True, slots=True)
class IdentifiedSighting:
    """The newest revision of a sighting with its identity.

    Attributes
    ----------
    sighting
        Without embeddings.
    """

    sighting: Sighting
    identity: Identity


def revision_key(sighting: Sighting) -> RevisionKey:
    """Return the key of a revision."""
    return RevisionKey(sighting.opened_at, sighting.sighting_id, sighting.revision)


def identified(sighting: Sighting, identity: Identity) -> IdentifiedSighting:
    """Return a revision with its identity, without embeddings and with the time of the identification."""
    shots = [shot.model_copy(update={"embedding": None}) for shot in sighting.shots]
    trace = sighting.trace
    if trace is not None:
        trace = trace.model_copy(update={"identified_at": identity.decided_at})
    return IdentifiedSighting(sighting.model_copy(update={"shots": shots, "trace": trace}), identity)


def from_row(row: SightingRow) -> IdentifiedSighting:
    """Return a sighting from its row: with its best shot only, and without a trace."""
    return IdentifiedSighting(row.to_sighting(), row.to_identity())


def match_row(key: RevisionKey, decision: Decision) -> MatchRow:
    """Return the row of a decision."""
    identity = decision.identity
    return MatchRow(
        opened_at=key.opened_at,
        sighting_id=key.sighting_id,
        revision=key.revision,
        identity=identity.status,
        subject_id=decision.nearest,
        runner_up_id=decision.runner_up,
        similarity=identity.similarity,
        runner_up_similarity=identity.runner_up_similarity,
        threshold=identity.threshold,
        margin=identity.margin,
        model_id=identity.model_id,
        decided_at=identity.decided_at,
    )


def revision_row(sighting: Sighting, *, superseded: bool) -> RevisionRow:
    """Return the row of a revision."""
    return RevisionRow(
        opened_at=sighting.opened_at,
        sighting_id=sighting.sighting_id,
        revision=sighting.revision,
        state=sighting.state,
        last_seen_at=sighting.last_seen_at,
        frames=sighting.frames,
        trace=sighting.trace,
        superseded=superseded,
        received_at=sighting.received_at or dt.datetime.now(dt.UTC),
    )


def corrected(before: IdentifiedSighting | None, after: IdentifiedSighting) -> SubjectRef | None:
    """Return the Subject that a sighting was of before, when it is now of another or of nobody."""
    was, now = (None if one is None else one.identity.subject for one in (before, after))
    return was if was is not None and (now is None or now.subject_id != was.subject_id) else None


def match_event(
    current: IdentifiedSighting, revision: int, *, superseded: bool, previous: SubjectRef | None = None
) -> NewEvent:
    """Return the event that subscribers receive of a revision: a Match, without its seq."""
    sighting = current.sighting
    match = Match(
        seq=1, revision=revision, superseded=superseded, sighting=sighting, identity=current.identity, previous=previous
    )
    return NewEvent(
        type=MATCH_TYPE,
        subject=bus.bus_subject(sighting.site, bus.MessageKind.MATCH, sighting.camera.key),
        payload=match.model_dump_json(by_alias=True, exclude_none=True, exclude={"seq"}),
        revision=RevisionKey(sighting.opened_at, sighting.sighting_id, revision),
    )


def accepts(camera: CameraRuleRow, sighting_opened_at: dt.datetime) -> bool:
    """Return whether a camera's sightings are accepted: it is registered, or was when the sighting opened."""
    return camera.deleted_at is None or sighting_opened_at <= camera.deleted_at
