"""A sighting as it stands: from a revision and its decision to rows and events, and back from its row; pure."""

import datetime as dt
from dataclasses import dataclass

from vigil_contracts import bus
from vigil_contracts.events import MATCH_TYPE, Identity, Match, Sighting
from vigil_gateway.identity.decision import Decision
from vigil_gateway.storage.postgres.rows import CameraRuleRow, MatchRow, RevisionRow, SightingRow
from vigil_gateway.storage.postgres.sightings import NewEvent, RevisionKey


@dataclass(frozen=True, slots=True)
class Standing:
    """A sighting with its identity.

    Attributes
    ----------
    sighting
        Without embeddings.
    """

    sighting: Sighting
    identity: Identity


def revision_key(sighting: Sighting) -> RevisionKey:
    """Name a revision."""
    return RevisionKey(sighting.opened_at, sighting.sighting_id, sighting.revision)


def standing(sighting: Sighting, identity: Identity) -> Standing:
    """Make a sighting's state from a revision; its embeddings stay behind, the moment of identification is added."""
    shots = [shot.model_copy(update={"embedding": None}) for shot in sighting.shots]
    trace = sighting.trace
    if trace is not None:
        trace = trace.model_copy(update={"identified_at": identity.decided_at})
    return Standing(sighting.model_copy(update={"shots": shots, "trace": trace}), identity)


def from_row(row: SightingRow) -> Standing:
    """Return a sighting's state from its row: of its shots the best only, and no trace."""
    return Standing(row.to_sighting(), row.to_identity())


def match_row(key: RevisionKey, decision: Decision) -> MatchRow:
    """Return the row of a decision."""
    who = decision.identity
    return MatchRow(
        opened_at=key.opened_at,
        sighting_id=key.sighting_id,
        revision=key.revision,
        identity=who.status,
        subject_id=decision.nearest,
        runner_up_id=decision.runner_up,
        similarity=who.similarity,
        runner_up_similarity=who.runner_up_similarity,
        threshold=who.threshold,
        margin=who.margin,
        model_id=who.model_id,
        decided_at=who.decided_at,
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
    )


def match_event(state: Standing, revision: int, *, superseded: bool) -> NewEvent:
    """Return the event that subscribers receive of a revision: a Match, its seq left out."""
    sighting = state.sighting
    match = Match(seq=1, revision=revision, superseded=superseded, sighting=sighting, identity=state.identity)
    return NewEvent(
        type=MATCH_TYPE,
        subject=bus.subject(sighting.site, bus.Kind.MATCH, sighting.camera.key),
        payload=match.model_dump_json(by_alias=True, exclude_none=True, exclude={"seq"}),
        revision=RevisionKey(sighting.opened_at, sighting.sighting_id, revision),
    )


def accepts(camera: CameraRuleRow, sighting_opened_at: dt.datetime) -> bool:
    """Return whether a camera's sightings are accepted: it is registered, or was when the sighting opened."""
    return camera.deleted_at is None or sighting_opened_at <= camera.deleted_at
