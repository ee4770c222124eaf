"""The events of subscriptions."""

import datetime as dt

import strawberry

from vigil_contracts.events import Match
from vigil_contracts.events import Trace as TraceEvent
from vigil_gateway.handlers.graphql import convert, types
from vigil_gateway.handlers.graphql.cursors import EventCursor, encode_event, mark_event
from vigil_gateway.handlers.graphql.live.cameras import CameraState
from vigil_gateway.handlers.graphql.nodes import Camera, Identity, Sighting, Subject


@strawberry.type(description="A revision of a sighting with its identity, at its position in the site's order.")
class SightingEvent:
    """An event of the subscription `sightings`."""

    cursor: str = strawberry.field(description="Pass it as `after` to go on behind this event.")
    seq: types.Count = strawberry.field(
        description="Position in the site's order of events: gap-free, in order of commit."
    )
    revision: int = strawberry.field(description="The revision that this event is about.")
    superseded: bool = strawberry.field(
        description="A later revision had already been published; `sighting` and `identity` are those of the later one."
    )
    sighting: Sighting
    identity: Identity
    previous: Subject | None = strawberry.field(
        description="A correction: the Subject that the revision before named; this one names another, or nobody."
    )
    trace: types.Trace | None


@strawberry.type(description="A camera's heartbeat as it arrives.")
class CameraEvent:
    """An event of the subscription `cameras`."""

    camera: Camera
    heartbeat: types.CameraHeartbeat
    conditions: list[types.Condition]


def sighting_event(match: Match, installation: str) -> SightingEvent:
    """Return the event of a match from the bus or the event log of an installation."""
    identity = Identity.from_event(match.identity)
    mark = mark_event(match.sighting.sighting_id, match.revision)
    return SightingEvent(
        cursor=encode_event(EventCursor(match.seq, installation, mark)),
        seq=types.Count(match.seq),
        revision=match.revision,
        superseded=match.superseded,
        sighting=Sighting.from_event(match.sighting, identity),
        identity=identity,
        previous=None if match.previous is None else Subject.from_event(match.previous),
        trace=_trace(match.sighting.trace, match.identity.decided_at),
    )


def _trace(trace: TraceEvent | None, decided_at: dt.datetime) -> types.Trace | None:
    if trace is None:
        return None
    return types.Trace(**{**dict(trace), "identified_at": trace.identified_at or decided_at})


def camera_event(state: CameraState) -> CameraEvent:
    """Return the event of a camera's state."""
    beat = state.heartbeat
    return CameraEvent(
        camera=Camera.from_key(beat.camera.key, beat.site),
        heartbeat=convert.heartbeat(state),
        conditions=convert.conditions(state),
    )
