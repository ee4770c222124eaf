"""Revisions of sightings as events for the bus."""

import datetime as dt
from functools import partial

from vigil_contracts.bus import MessageKind
from vigil_contracts.events import Sighting, SightingState, encode_sighting
from vigil_stream.publish.event import OutgoingEvent


def sighting_event(sighting: Sighting) -> OutgoingEvent:
    """Return a revision as an event: a later one holds all data of an Updated one, none follows a Closed one."""
    return OutgoingEvent(
        kind=MessageKind.SIGHTING,
        event_id=sighting.event_id,
        encode=partial(_encode, sighting),
        expendable=sighting.state is SightingState.UPDATED,
        final=sighting.state is SightingState.CLOSED,
        counts={"sightings_opened": 1} if sighting.state is SightingState.OPENED else {},
        sighting=sighting,
    )


def _encode(sighting: Sighting, at: dt.datetime) -> bytes:
    if sighting.trace is not None:
        sighting = sighting.model_copy(update={"trace": sighting.trace.model_copy(update={"published_at": at})})
    return encode_sighting(sighting, at)
