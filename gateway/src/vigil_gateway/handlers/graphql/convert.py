"""From the contracts' models to the schema's types; pure."""

import datetime as dt
from collections.abc import Mapping
from typing import Any, Final

from vigil_contracts import events
from vigil_contracts.conditions import CameraCondition, ConditionStatus, FitnessReason, SourceReason
from vigil_gateway.handlers.graphql import types
from vigil_gateway.handlers.graphql.cursors import encode_event

STALE_AFTER_S: Final = 6.0
"""Three heartbeats: a stream process sends one every 2 s."""

_FIT: Final = {FitnessReason.MEASURED: ConditionStatus.TRUE, FitnessReason.NO_FACES_YET: ConditionStatus.UNKNOWN}
_REACHED: Final = {
    SourceReason.CONNECTED: ConditionStatus.TRUE,
    SourceReason.ENDED: ConditionStatus.TRUE,
    SourceReason.CONNECTING: ConditionStatus.UNKNOWN,
    SourceReason.SUSPENDED: ConditionStatus.UNKNOWN,
    SourceReason.STOPPED: ConditionStatus.UNKNOWN,
}


def sighting_event(match: events.Match) -> types.SightingEvent:
    """Turn a match from the bus or the resume log into what subscribers see."""
    found = identity(match.identity)
    return types.SightingEvent(
        cursor=encode_event(match.seq),
        seq=types.Count(match.seq),
        revision=match.revision,
        superseded=match.superseded,
        sighting=_sighting(match.sighting, found),
        identity=found,
        trace=_trace(match.sighting.trace, match.identity.decided_at),
    )


def _sighting(sighting: events.Sighting, found: types.Identity) -> types.Sighting:
    return types.Sighting(
        id=sighting.sighting_id,
        revision=sighting.revision,
        state=sighting.state,
        site=sighting.site,
        camera=types.CameraRef(namespace=sighting.camera.namespace, name=sighting.camera.name),
        opened_at=sighting.opened_at,
        last_seen_at=sighting.last_seen_at,
        closed_at=sighting.closed_at,
        close_reason=sighting.close_reason,
        frames=types.Count(sighting.frames),
        best_shot=best_shot(sighting.shots[0]) if sighting.shots else None,
        identity=found,
    )


def identity(found: events.Identity) -> types.Identity:
    """Turn an identity into its type."""
    subject = found.subject
    return types.Identity(
        status=found.status,
        subject=None
        if subject is None
        else types.SubjectRef(
            subject_id=subject.subject_id,
            namespace=subject.namespace,
            name=subject.name,
            display_name=subject.display_name,
        ),
        similarity=found.similarity,
        runner_up_similarity=found.runner_up_similarity,
        threshold=found.threshold,
        margin=found.margin,
        model_id=found.model_id,
        decided_at=found.decided_at,
    )


def best_shot(shot: events.BestShot) -> types.BestShot:
    """Turn a shot into its type; its embedding stays behind."""
    return types.BestShot(
        captured_at=shot.captured_at,
        box=types.Box(x=shot.box.x, y=shot.box.y, width=shot.box.width, height=shot.box.height),
        landmarks=[types.Point(x=x, y=y) for x, y in shot.landmarks],
        confidence=shot.confidence,
        quality=types.FaceQuality(**dict(shot.quality)),
    )


def _trace(trace: events.Trace | None, decided_at: dt.datetime) -> types.Trace | None:
    if trace is None:
        return None
    return types.Trace(**{**dict(trace), "identified_at": trace.identified_at or decided_at})


def heartbeat(beat: events.CameraHeartbeat, sent_at: dt.datetime, now: dt.datetime) -> types.CameraHeartbeat:
    """Turn a heartbeat into its type; it is stale when `now` is too long after `sent_at`."""
    fields: Mapping[str, Any] = {
        name: value for name, value in dict(beat).items() if name not in {"site", "camera", "counters"}
    }
    return types.CameraHeartbeat(
        **fields,
        sent_at=sent_at,
        stale=(now - sent_at).total_seconds() > STALE_AFTER_S,
        counters=types.CameraCounters(**dict(beat.counters)),
    )


def conditions(beat: events.CameraHeartbeat) -> list[types.Condition]:
    """Tell a heartbeat in the words of the Camera's conditions."""
    streaming = ConditionStatus.TRUE if beat.state is events.CameraState.STREAMING else ConditionStatus.FALSE
    reached = _REACHED.get(beat.reason, ConditionStatus.FALSE)
    fit = _FIT.get(beat.fitness, ConditionStatus.FALSE)
    told = (
        (CameraCondition.STREAMING, streaming, str(beat.reason), beat.message, beat.since),
        (CameraCondition.SOURCE_REACHABLE, reached, str(beat.reason), beat.message, beat.since),
        (CameraCondition.FIT_FOR_RECOGNITION, fit, str(beat.fitness), beat.fitness_message, None),
    )
    return [
        types.Condition(type=str(kind), status=status, reason=reason, message=message, last_transition_time=since)
        for kind, status, reason, message, since in told
    ]
