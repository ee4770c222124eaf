"""The times of a sighting: observed by the camera, received by the bus, decided by identity; pure.

The camera's clock may be wrong; the bus' is believed. A message carries when it was sent, by the camera's clock, so
that its offset is measured with each message, and a late event is not taken for one of a wrong clock.

- An offset of at most TOLERANCE is none: the camera's times are believed.
- Beyond it, the offset is subtracted from them.
- What lies in the future of the bus even so, or more than MAX_AGE ago, is replaced by when the bus received it: the
  clock jumped, or the offset is unknown. The person may then have been seen at any moment of MAX_AGE.

The first recorded revision decides when a sighting opened. Its id keeps what the camera claimed.
"""

import datetime as dt

from vigil_contracts.clocks import MAX_AGE, TOLERANCE
from vigil_contracts.events import Sighting
from vigil_contracts.ids import sighting_time


def with_times(sighting: Sighting, received_at: dt.datetime, offset: dt.timedelta | None) -> Sighting:
    """Return a sighting with its times as they are believed.

    Parameters
    ----------
    offset
        How far the camera's clock was ahead; None: not known.
    """
    claimed = sighting_time(sighting.sighting_id)
    opened = _observed(claimed, received_at, offset)
    bounded = opened != claimed
    doubtful = bounded and not _plausible(_corrected(claimed, offset), received_at)
    # A message that took longer makes the offset of a clock that is ahead look smaller.
    not_before = received_at - MAX_AGE if doubtful else min(claimed, opened) - TOLERANCE
    return sighting.model_copy(
        update={
            "bounded_opened_at": opened if bounded else None,
            "opened_not_before": not_before if bounded else None,
            "last_seen_at": _observed(sighting.last_seen_at, received_at, offset),
            "closed_at": None if sighting.closed_at is None else _observed(sighting.closed_at, received_at, offset),
            "received_at": received_at,
            "clock_offset_ms": None if offset is None else offset.total_seconds() * 1000,
        }
    )


def opened_at(sighting: Sighting, bounded: dt.datetime | None, not_before: dt.datetime | None) -> Sighting:
    """Return a revision of a sighting that opened when its first revision says; it was seen no earlier than that."""
    placed = sighting.model_copy(update={"bounded_opened_at": bounded, "opened_not_before": not_before})
    closed_at = None if placed.closed_at is None else max(placed.closed_at, placed.opened_at)
    return placed.model_copy(
        update={"last_seen_at": max(placed.last_seen_at, placed.opened_at), "closed_at": closed_at}
    )


def _observed(claimed: dt.datetime, received_at: dt.datetime, offset: dt.timedelta | None) -> dt.datetime:
    corrected = _corrected(claimed, offset)
    return corrected if corrected is not None and _plausible(corrected, received_at) else received_at


def _corrected(claimed: dt.datetime, offset: dt.timedelta | None) -> dt.datetime | None:
    """Return a moment without the offset of its clock; None: there is no such moment."""
    if offset is None or abs(offset) <= TOLERANCE:
        return claimed
    try:
        return claimed - offset
    except OverflowError:
        return None


def _plausible(moment: dt.datetime | None, received_at: dt.datetime) -> bool:
    return moment is not None and received_at - MAX_AGE <= moment <= received_at + TOLERANCE
