"""A sighting as it stands: from a revision and its decision to rows and events, and back from its row; pure."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vigil_contracts import bus, events
from vigil_contracts.events import MATCH_TYPE, Identity, Match, Sighting
from vigil_gateway.identity.decision import Candidate, Decision
from vigil_gateway.storage.postgres.ledger import NewEvent, RevisionKey

Row = Mapping[str, Any]


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


def from_row(row: Row) -> Standing:
    """Read a sighting's state back. Of its shots only the best is kept, and no trace."""
    shot, box = row["best_shot"], row["box"]
    best = [events.BestShot.model_validate_json(shot)] if shot else []
    sighting = Sighting(
        sighting_id=row["id"],
        revision=row["revision"],
        state=row["state"],
        site=row["site"],
        camera=events.CameraRef(namespace=row["camera_namespace"], name=row["camera_name"]),
        session_id=row["session_id"] or "",
        last_seen_at=row["last_seen_at"],
        closed_at=row["closed_at"],
        close_reason=row["close_reason"],
        frames=row["frames"],
        box=events.Box.model_validate_json(box) if box else events.Box(x=0, y=0, width=0, height=0),
        shots=best,
    )
    identity = Identity(
        status=row["identity"],
        subject=row["subject_id"] and _reference(row),
        similarity=row["similarity"],
        runner_up_similarity=row["runner_up_similarity"],
        threshold=row["threshold"],
        margin=row["margin"],
        model_id=row["model_id"],
        decided_at=row["decided_at"] or row["last_seen_at"],
    )
    return Standing(sighting, identity)


def _reference(row: Row) -> events.SubjectRef:
    return events.SubjectRef(
        subject_id=row["subject_id"],
        namespace=row["subject_namespace"],
        name=row["subject_name"],
        display_name=row["subject_display_name"],
    )


def candidate(row: Row) -> Candidate:
    """Read a Subject as the decision needs it."""
    ref = events.SubjectRef(
        subject_id=row["id"], namespace=row["namespace"], name=row["name"], display_name=row["display_name"]
    )
    return Candidate(ref, row["consent"], row["active_from"], row["active_until"])


def sighting_row(state: Standing, seq: int) -> tuple[Any, ...]:
    """Write a sighting's row, in the order of `ledger.SIGHTING_COLUMNS`."""
    sighting, who = state.sighting, state.identity
    shot = sighting.shots[0].model_dump_json(by_alias=True, exclude_none=True) if sighting.shots else None
    subject = who.subject
    return (
        sighting.opened_at,
        sighting.sighting_id,
        sighting.site,
        sighting.camera.namespace,
        sighting.camera.name,
        sighting.session_id,
        str(sighting.state),
        sighting.revision,
        sighting.last_seen_at,
        sighting.closed_at,
        str(sighting.close_reason) if sighting.close_reason else None,
        sighting.frames,
        sighting.box.model_dump_json(by_alias=True),
        shot,
        str(who.status),
        subject.subject_id if subject else None,
        subject.namespace if subject else None,
        subject.name if subject else None,
        subject.display_name if subject else None,
        who.similarity,
        who.runner_up_similarity,
        who.threshold,
        who.margin,
        who.model_id,
        who.decided_at,
        seq,
    )


def match_row(key: RevisionKey, decision: Decision) -> tuple[Any, ...]:
    """Write a decision's row, in the order of `ledger.MATCH_COLUMNS`."""
    who = decision.identity
    return (
        key.opened_at,
        key.sighting_id,
        key.revision,
        str(who.status),
        decision.nearest,
        decision.runner_up,
        who.similarity,
        who.runner_up_similarity,
        who.threshold,
        who.margin,
        who.model_id,
        who.decided_at,
    )


def revision_row(sighting: Sighting, *, superseded: bool) -> tuple[Any, ...]:
    """Write a revision's row."""
    trace = sighting.trace.model_dump_json(by_alias=True, exclude_none=True) if sighting.trace else None
    return (
        sighting.opened_at,
        sighting.sighting_id,
        sighting.revision,
        str(sighting.state),
        sighting.last_seen_at,
        sighting.frames,
        trace,
        superseded,
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


def accepts(row: Row | None, sighting_opened_at: dt.datetime) -> bool:
    """Whether a camera's sightings are taken: it is registered, or was when the sighting opened."""
    return row is not None and (row["deleted_at"] is None or sighting_opened_at <= row["deleted_at"])
