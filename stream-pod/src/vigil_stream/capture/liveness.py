"""Liveness of a source: how long it may be silent, and what it reports while it is read on.

A camera may send 60 frames a second or one in a minute, and some begin with a burst of frames that they have kept. So
the limit for its silence is learned from its own longest interval, unless the Camera sets it. A session that was silent
for longer than it delivered doubles the limit: a camera that has turned slow is then waited for, and one that hangs
after hours is not.
"""

from collections.abc import Callable

from vigil_contracts.conditions import SourceReason

MIN_STALL_S = 15.0
"""Longer than a camera's pause at a change of its settings, short enough to be reported within 20 s."""

FIRST_STALL_S = 30.0
"""For the first frame."""

UNKNOWN_STALL_S = 90.0
"""Until a camera is known: a slow one sends its next frame within this time."""

KNOWN_AFTER_S = 3.0
KNOWN_INTERVAL_S = 2.0
"""A camera is known when it has delivered for so long at intervals of no more than this, over all sessions."""

MAX_STALL_S = 120.0
"""A camera with longer intervals has to set its own limit."""

INTERVALS = 3.0
"""The limit in longest intervals."""

FORGET_AFTER_S = 3600.0
"""An interval counts for so long."""


def _ignore(reason: SourceReason, message: str) -> None:
    """Do nothing."""


class Liveness:
    """The limit for the silence of one source, over all its sessions.

    Times are seconds on a clock that only goes forward.

    Parameters
    ----------
    stall_timeout_s
        The limit that the Camera sets, in seconds; None: it is learned.
    notice
        Receives a reason and its message while the source is read on; CONNECTED when the reason is gone.
    """

    def __init__(
        self, stall_timeout_s: float | None = None, notice: Callable[[SourceReason, str], None] = _ignore
    ) -> None:
        self.notice = notice
        self._fixed_s = stall_timeout_s
        self._longest_s = 0.0
        self._longest_at = 0.0
        self._raised_s = 0.0
        self._began_at = self._last_at = 0.0
        self._received = False
        self._steady_s = 0.0

    @property
    def limit_s(self) -> float:
        """The seconds without a frame after which the connection is made anew."""
        if self._fixed_s is not None:
            return self._fixed_s
        is_known = self._steady_s >= KNOWN_AFTER_S
        least_s = MIN_STALL_S if is_known else UNKNOWN_STALL_S if self._received else FIRST_STALL_S
        return min(max(least_s, INTERVALS * self._longest_s, self._raised_s), MAX_STALL_S)

    @property
    def has_received(self) -> bool:
        """Whether this session has received anything."""
        return self._received

    def begin(self, at: float) -> None:
        """Begin a session."""
        self._began_at = self._last_at = at
        self._received = False

    def receive(self, at: float) -> None:
        """Count what the source sent: a packet, a part, a message."""
        if self._received:
            self._learn(at - self._last_at, at)
        self._received, self._last_at = True, at
        if at - self._began_at > self._raised_s:
            # The session has lasted: its own intervals are the better measure.
            self._raised_s = 0.0

    def _learn(self, interval_s: float, at: float) -> None:
        if interval_s <= KNOWN_INTERVAL_S:
            self._steady_s += interval_s
        if interval_s >= self._longest_s or at - self._longest_at > FORGET_AFTER_S:
            self._longest_s, self._longest_at = interval_s, at

    def left_s(self, at: float) -> float:
        """Return the seconds that the source may still be silent; 0 or less: it has stalled."""
        return self._last_at + self.limit_s - at

    def end_stalled(self) -> float:
        """End a session that has stalled, and return the limit that it has reached, in seconds."""
        limit_s, delivered_s = self.limit_s, self._last_at - self._began_at
        if delivered_s < limit_s:
            self._raised_s = min(2 * limit_s, MAX_STALL_S)
        return limit_s
