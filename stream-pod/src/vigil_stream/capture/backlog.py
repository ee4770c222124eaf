"""How far a live stream is behind: a decoder slower than its camera must not work through old frames."""

import time
from typing import Any, Final

MAX_LAG_S: Final = 1.0
"""Behind by more, frames are left undecoded."""

CAUGHT_UP_S: Final = 0.3
"""Behind by less, decoding begins again."""

_DRIFT: Final = 0.0005
"""Seconds in a second by which the clock of a camera may be slower than ours: five times what a quartz is."""

_JUMP_S: Final = 5.0
"""A step of a camera's clock by more than this, forward or back, shows nothing about the delay."""


class Backlog:
    """Compares the clock of a live stream with ours.

    The shortest transit of any frame counts as one without a queue; the delay of a frame is what its own takes longer.
    """

    def __init__(self) -> None:
        self._shortest: float | None = None
        self._media_at = 0.0
        self._at = 0.0
        self.skipping = False
        """Frames are left undecoded until the stream has caught up."""

    def behind(self, packet: Any) -> bool:  # noqa: ANN401 - PyAV's packets are generic over streams
        """Take the time of the next packet; return whether to leave it undecoded, unless decoding can begin there."""
        lag = self._lag(packet, time.monotonic())
        self.skipping = lag > (CAUGHT_UP_S if self.skipping else MAX_LAG_S)
        return self.skipping

    def _lag(self, packet: Any, now: float) -> float:  # noqa: ANN401 - as above
        stamp = packet.dts if packet.dts is not None else packet.pts
        if stamp is None or packet.time_base is None:
            return 0.0
        media_at = float(stamp * packet.time_base)
        transit = now - media_at
        if self._shortest is None or abs(media_at - self._media_at) > _JUMP_S:
            self._shortest = transit
        else:
            self._shortest = min(transit, self._shortest + _DRIFT * (now - self._at))
        self._media_at, self._at = media_at, now
        return transit - self._shortest
