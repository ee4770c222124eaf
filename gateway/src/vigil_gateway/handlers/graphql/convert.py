"""From events and rows to the values of the schema; pure."""

from collections.abc import Mapping
from typing import Any, Final

from vigil_contracts import events
from vigil_contracts.conditions import CameraCondition, ClockReason, ConditionStatus, FitnessReason, SourceReason
from vigil_gateway.handlers.graphql import types
from vigil_gateway.handlers.graphql.live.cameras import CameraState
from vigil_gateway.storage.postgres.resource_rows import PhotoRow

STALE_AFTER_S: Final = 6.0
"""Three heartbeats: a stream process sends one every 2 s."""

_FIT: Final = {FitnessReason.MEASURED: ConditionStatus.TRUE, FitnessReason.NO_FACES_YET: ConditionStatus.UNKNOWN}
_SYNCHRONIZED: Final = {
    ClockReason.SYNCHRONIZED: ConditionStatus.TRUE,
    ClockReason.NOT_MEASURED: ConditionStatus.UNKNOWN,
}
_REACHED: Final = {
    SourceReason.CONNECTED: ConditionStatus.TRUE,
    SourceReason.FROZEN: ConditionStatus.TRUE,
    SourceReason.WAITING_FOR_KEYFRAME: ConditionStatus.TRUE,
    SourceReason.ENDED: ConditionStatus.TRUE,
    SourceReason.CONNECTING: ConditionStatus.UNKNOWN,
    SourceReason.SUSPENDED: ConditionStatus.UNKNOWN,
    SourceReason.STOPPED: ConditionStatus.UNKNOWN,
}


def best_shot(shot: events.BestShot) -> types.BestShot:
    """Return a shot without its embedding."""
    return types.BestShot(
        captured_at=shot.captured_at,
        box=types.Box(x=shot.box.x, y=shot.box.y, width=shot.box.width, height=shot.box.height),
        landmarks=[types.Point(x=x, y=y) for x, y in shot.landmarks],
        confidence=shot.confidence,
        quality=types.FaceQuality(**dict(shot.quality)),
    )


def photo(row: PhotoRow) -> types.Photo:
    """Return the assessment of a photo."""
    return types.Photo(name=row.name, accepted=row.accepted, reason=row.reason, message=row.message, quality=row.score)


def heartbeat(state: CameraState) -> types.CameraHeartbeat:
    """Return a heartbeat; it is stale when it was received more than STALE_AFTER_S ago."""
    beat = state.heartbeat
    fields: Mapping[str, Any] = {
        name: value for name, value in dict(beat).items() if name not in {"site", "camera", "counters"}
    }
    return types.CameraHeartbeat(
        **fields,
        sent_at=state.sent_at,
        received_at=state.received_at,
        stale=state.silent_s > STALE_AFTER_S,
        counters=types.CameraCounters(**dict(beat.counters)),
    )


def conditions(state: CameraState) -> list[types.Condition]:
    """Return a heartbeat as the Camera's conditions."""
    beat, clock = state.heartbeat, state.clock
    streaming = ConditionStatus.TRUE if beat.state is events.CameraState.STREAMING else ConditionStatus.FALSE
    reached = _REACHED.get(beat.reason, ConditionStatus.FALSE)
    fit = _FIT.get(beat.fitness, ConditionStatus.FALSE)
    synchronized = _SYNCHRONIZED.get(clock.reason, ConditionStatus.FALSE)
    found = (
        (CameraCondition.STREAMING, streaming, str(beat.reason), beat.message, beat.since),
        (CameraCondition.SOURCE_REACHABLE, reached, str(beat.reason), beat.message, beat.since),
        (CameraCondition.FIT_FOR_RECOGNITION, fit, str(beat.fitness), beat.fitness_message, None),
        (CameraCondition.CLOCK_SYNCHRONIZED, synchronized, str(clock.reason), clock.message, None),
    )
    return [
        types.Condition(type=str(kind), status=status, reason=reason, message=message, last_transition_time=since)
        for kind, status, reason, message, since in found
    ]
