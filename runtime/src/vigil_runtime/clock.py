"""Assess the clock of another machine by when its messages were sent and received.

A message takes time, which makes its sender's clock look behind. The largest of the last few offsets is that of the
message that took least (the filter of NTP, RFC 5905 §10), so that a connection that stalls is no wrong clock.
"""

import datetime as dt
from collections import deque
from typing import Final, NamedTuple

from vigil_contracts.clocks import TOLERANCE
from vigil_contracts.conditions import ClockReason

WINDOW: Final = 4
"""Messages of which the fastest counts; a clock that is set back is reported when so many have come."""

STEADY_S: Final = 15.0
"""An offset that changes by no more is shown as it was, or each heartbeat would change the condition."""

JUMPED_S: Final = 600.0
"""How long a jump is reported of a clock that is right again."""


class ClockState(NamedTuple):
    """The assessment of a clock.

    Attributes
    ----------
    offset_s
        How far it is ahead, in seconds; negative: behind. It changes in steps, and is 0 within the tolerance.
    """

    reason: ClockReason
    offset_s: float = 0.0

    @property
    def message(self) -> str:
        """The state in words, with the remedy; empty when there is nothing to do."""
        if self.reason is ClockReason.CLOCK_JUMPED:
            return f"the clock of the camera's machine was set by {_words(self.offset_s)}; {_REMEDY}"
        if self.reason in {ClockReason.CLOCK_AHEAD, ClockReason.CLOCK_BEHIND}:
            side = "ahead" if self.offset_s > 0 else "behind"
            return f"the clock of the camera's machine is {_words(self.offset_s)} {side}; {_REMEDY}"
        return ""


NOT_MEASURED: Final = ClockState(ClockReason.NOT_MEASURED)
_REMEDY: Final = "synchronise it (NTP); until then the times of sightings are corrected by when the bus receives them"


class ClockMonitor:
    """The clock of one machine."""

    def __init__(self) -> None:
        self._offsets: deque[float] = deque(maxlen=WINDOW)
        self._offset_s: float | None = None
        self._jump_s = 0.0
        self._jumped_at = float("-inf")

    def note(self, offset_s: float, at_s: float) -> ClockState:
        """Note the offset of one message, and return the state of the clock.

        Parameters
        ----------
        offset_s
            When it was sent by the sender's clock, less when it was received by one's own.
        at_s
            Now, by the monotonic clock.
        """
        self._offsets.append(offset_s)
        fastest = max(self._offsets)
        limit_s = TOLERANCE.total_seconds()
        if self._offset_s is None:
            self._offset_s = fastest
        elif abs(fastest - self._offset_s) > STEADY_S:
            if abs(fastest - self._offset_s) > limit_s:
                self._jump_s, self._jumped_at = fastest - self._offset_s, at_s
            self._offset_s = fastest
        if abs(self._offset_s) > limit_s:
            ahead = self._offset_s > 0
            return ClockState(ClockReason.CLOCK_AHEAD if ahead else ClockReason.CLOCK_BEHIND, self._offset_s)
        if at_s - self._jumped_at < JUMPED_S:
            return ClockState(ClockReason.CLOCK_JUMPED, self._jump_s)
        return ClockState(ClockReason.SYNCHRONIZED)


def clock_offset_s(sent_at: object, received_at: dt.datetime) -> float | None:
    """Return how many seconds the sender's clock was ahead; None: it sent no time.

    Parameters
    ----------
    sent_at
        By the sender's clock, in ISO 8601 with a time zone; as it came.
    received_at
        By one's own clock.
    """
    try:
        sent = dt.datetime.fromisoformat(sent_at) if isinstance(sent_at, str) else None
        return None if sent is None or sent.tzinfo is None else (sent - received_at).total_seconds()
    except (ValueError, OverflowError):
        return None


def _words(seconds: float) -> str:
    """Return a duration in its largest unit."""
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if abs(seconds) >= 2 * size:
            return f"{abs(seconds) / size:.0f} {unit}"
    return f"{abs(seconds):.0f} seconds"
