"""From a message's bytes to a sighting that can be stored, or to the reason why not; pure."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from vigil_contracts import bus
from vigil_contracts.events import EventError, RejectReason, Sighting, decode
from vigil_contracts.ids import ResourceKey

MAX_AGE: Final = dt.timedelta(days=366)
MAX_AHEAD: Final = dt.timedelta(days=1)
"""A sighting that claims to have opened outside of this is of a machine whose clock is wrong; it also bounds how many
partitions events can make."""

MAX_INT32: Final = 2**31 - 1
MAX_INT64: Final = 2**63 - 1
MIN_NORM: Final = 1e-3
"""Of a vector that says it has length 1; below, it says nothing about a face."""

SHOWN_BYTES: Final = 80


@dataclass(frozen=True, slots=True)
class Incoming:
    """One message to judge.

    Attributes
    ----------
    stream_seq
        Its place in the JetStream stream.
    rejected_id
        Its row in rejected_events when it is taken up again; None when it comes from the bus.
    """

    subject: str
    body: bytes
    stream_seq: int | None = None
    rejected_id: int | None = None


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a message is set aside.

    Attributes
    ----------
    waits_for
        What has to become known for it to be taken after all: `camera:<namespace>/<name>` or `model:<id>`.
    """

    reason: RejectReason
    message: str
    waits_for: str | None = None


def waits_for_camera(key: ResourceKey) -> str:
    """Say that an event waits for a camera to be registered."""
    return f"camera:{key}"


def waits_for_model(model_id: str) -> str:
    """Say that an event waits for a model to be served."""
    return f"model:{model_id}"


def read(incoming: Incoming, site: str, now: dt.datetime) -> Sighting:
    """Read a sighting out of a message.

    Raises
    ------
    EventError
        With the reason and a sentence for people.
    """
    key = _camera_of(incoming.subject, site)
    sighting = decode(incoming.body, Sighting)
    if sighting.site != site or sighting.camera.key != key:
        msg = (
            f"the event speaks of site {sighting.site!r} and camera {sighting.camera.namespace}/{sighting.camera.name}"
            f", but came under {incoming.subject!r}"
        )
        raise EventError(RejectReason.WRONG_SUBJECT, msg[:500])
    _check_numbers(sighting)
    _check_time(sighting, now)
    return sighting


def _camera_of(subject: str, site: str) -> ResourceKey:
    try:
        parsed = bus.parse_subject(subject)
    except ValueError as error:
        raise EventError(RejectReason.WRONG_SUBJECT, str(error)[:500]) from None
    if parsed.site != site or parsed.kind is not bus.Kind.SIGHTING or parsed.camera is None:
        raise EventError(RejectReason.WRONG_SUBJECT, f"{subject!r} is no subject of this site's sightings")
    return parsed.camera


def _check_numbers(sighting: Sighting) -> None:
    if sighting.revision > MAX_INT32 or sighting.frames > MAX_INT64:
        msg = f"revision {sighting.revision} or frames {sighting.frames} is absurdly large"
        raise EventError(RejectReason.INVALID_DATA, msg[:500])


def _check_time(sighting: Sighting, now: dt.datetime) -> None:
    try:
        opened = sighting.opened_at
        fits = now - MAX_AGE <= opened <= now + MAX_AHEAD
    except (ValueError, OverflowError) as error:
        raise EventError(RejectReason.INVALID_DATA, f"the sighting's id holds no usable time: {error}") from None
    if not fits:
        msg = (
            f"the sighting opened at {opened.isoformat()}, more than {MAX_AGE.days} days ago or more than "
            f"{MAX_AHEAD.days} ahead; is the clock of the camera's machine right?"
        )
        raise EventError(RejectReason.INVALID_DATA, msg)


def check_embeddings(sighting: Sighting, sizes: Mapping[str, int]) -> Rejection | None:
    """Say what is wrong with a sighting's embeddings; None when nothing is.

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
            msg = f"an embedding is of model {shown}, which is not known here (known: {known}); is Triton serving it?"
            return Rejection(RejectReason.UNKNOWN_MODEL, msg, waits_for_model(model_id))
        if len(vector) != size:
            msg = f"an embedding has {len(vector)} numbers; model {model_id} makes {size}"
            return Rejection(RejectReason.WRONG_EMBEDDING_LENGTH, msg)
        if float(np.linalg.norm(vector.astype(np.float64))) < MIN_NORM:
            return Rejection(RejectReason.INVALID_DATA, "an embedding is all zeros; unit length is expected")
    return None
