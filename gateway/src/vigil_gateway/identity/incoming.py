"""From the bytes of a message to a sighting that can be stored, or to the reason of its rejection; pure."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from vigil_contracts import bus
from vigil_contracts.events import AnyEvent, EventError, RejectReason, Sighting, decode_event, event_source
from vigil_contracts.ids import ResourceKey
from vigil_gateway.identity.times import with_times

MAX_INT32: Final = 2**31 - 1
MAX_INT64: Final = 2**63 - 1
MIN_NORM: Final = 1e-3
"""Least length of an embedding, which should be 1; a shorter one describes no face."""

SHOWN_BYTES: Final = 80


@dataclass(frozen=True, slots=True)
class Incoming:
    """One message to process.

    Attributes
    ----------
    stream_seq
        Its sequence number in the JetStream stream.
    rejected_id
        Its row in rejected_events, if it was rejected before; None: it comes from the bus.
    message_id
        The id by which JetStream recognises duplicates; None: it has none, or was checked before it was set aside.
    received_at
        By the bus; None: just now.
    clock_offset
        How far the clock of the sender was ahead of the bus'; None: not known.
    """

    subject: str
    body: bytes
    stream_seq: int | None = None
    rejected_id: int | None = None
    message_id: str | None = None
    received_at: dt.datetime | None = None
    clock_offset: dt.timedelta | None = None


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a message is rejected.

    Attributes
    ----------
    waits_for
        The key that has to become known before it is processed after all: `camera:<namespace>/<name>` or `model:<id>`.
    """

    reason: RejectReason
    message: str
    waits_for: str | None = None


def waits_for_camera(key: ResourceKey) -> str:
    """Return the `waits_for` of an event whose camera is not registered."""
    return f"camera:{key}"


def waits_for_model(model_id: str) -> str:
    """Return the `waits_for` of an event whose model is not known."""
    return f"model:{model_id}"


def read(incoming: Incoming, site: str, now: dt.datetime) -> Sighting:
    """Return the sighting in a message, with its times as they are believed.

    Raises
    ------
    EventError
        With the reason and a message.
    """
    key = _camera_of(incoming.subject, site)
    envelope, sighting = decode_event(incoming.body, Sighting)
    if sighting.site != site or sighting.camera.key != key:
        msg = (
            f"the event is of site {sighting.site!r} and camera {sighting.camera.namespace}/{sighting.camera.name}"
            f", but its subject is {incoming.subject!r}"
        )
        raise EventError(RejectReason.WRONG_SUBJECT, msg[:500])
    _check_envelope(envelope, sighting, key, incoming.message_id)
    _check_numbers(sighting)
    return with_times(sighting, incoming.received_at or now, incoming.clock_offset)


def _camera_of(subject: str, site: str) -> ResourceKey:
    try:
        parsed = bus.parse_subject(subject)
    except ValueError as error:
        raise EventError(RejectReason.WRONG_SUBJECT, str(error)[:500]) from None
    if parsed.site != site or parsed.kind is not bus.MessageKind.SIGHTING or parsed.camera is None:
        raise EventError(RejectReason.WRONG_SUBJECT, f"{subject!r} is not a subject of sightings of this site")
    return parsed.camera


def _check_envelope(envelope: AnyEvent, sighting: Sighting, key: ResourceKey, message_id: str | None) -> None:
    """Raise EventError when an id or address around a sighting is of another event, camera or site.

    Only the camera itself may publish on its subject; what the event says of its origin has to agree with that.
    """
    for name, found, due in (
        ("id", envelope.id, sighting.event_id),
        ("source", envelope.source, event_source(sighting.site, sighting.camera.key)),
        ("subject", envelope.subject or str(key), str(key)),
    ):
        if found != due:
            msg = f"the event's {name} is {found!r}, but {due!r} by its data and the subject that it came on"
            raise EventError(RejectReason.WRONG_SUBJECT, msg[:500])
    if message_id is not None and not bus.owns_message_id(key, message_id, sighting.event_id):
        msg = f"the message id {message_id!r} is not one of camera {key}; it begins with {key.token!r}"
        raise EventError(RejectReason.WRONG_SUBJECT, msg[:500])


def _check_numbers(sighting: Sighting) -> None:
    if sighting.revision > MAX_INT32 or sighting.frames > MAX_INT64:
        msg = f"revision {sighting.revision} or frames {sighting.frames} is too large; check the stream process"
        raise EventError(RejectReason.INVALID_DATA, msg[:500])


def check_embeddings(sighting: Sighting, sizes: Mapping[str, int]) -> Rejection | None:
    """Return why a sighting's embeddings are rejected; None when they are valid.

    Parameters
    ----------
    sizes
        Embedding size of every known model by its id.
    """
    for shot in sighting.shots:
        if shot.embedding is None:
            continue
        model_id, vector = shot.embedding.model_id, np.frombuffer(shot.embedding.to_bytes(), "<f4")
        size = sizes.get(model_id)
        if size is None:
            shown = repr(model_id[:SHOWN_BYTES])
            known = ", ".join(sorted(sizes)) or "none"
            msg = f"an embedding is of model {shown}, which is not known (known: {known}); check that Triton serves it"
            return Rejection(RejectReason.UNKNOWN_MODEL, msg, waits_for_model(model_id))
        if len(vector) != size:
            msg = (
                f"an embedding has {len(vector)} numbers; those of model {model_id} have {size}; export the model again"
            )
            return Rejection(RejectReason.WRONG_EMBEDDING_LENGTH, msg)
        if float(np.linalg.norm(vector.astype(np.float64))) < MIN_NORM:
            return Rejection(RejectReason.INVALID_DATA, "an embedding is all zeros; unit length is expected")
    return None
