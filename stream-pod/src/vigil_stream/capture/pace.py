"""The clock of a file that is played in real time."""

import threading
import time
from typing import Any

MAX_CATCH_UP_S = 1.0
"""A file that fell further behind real time than this goes on from there instead of hurrying after."""

MAX_GAP_S = 10.0
"""A jump of a file's clock forward by more than this is taken for a fault and not waited out."""

_USUAL_STEP_S = 0.04
_SINGLE_STEP_S = 0.2
"""Between two showings of a file that holds one image."""


class Pace:
    """Media time that continues over loops and cuts, and waiting for it in real time."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._offset = 0.0
        self._first: float | None = None
        self._now = 0.0
        self._step = _USUAL_STEP_S
        self._zero: float | None = None
        self._frames = 0
        self.cut = False
        """The clock stepped: what follows need not show what was there before."""

    def media_time(self, item: Any) -> float:  # noqa: ANN401 - a packet or a frame
        """Return seconds since the first frame; a frame without a time comes one step after the one before."""
        self._frames += 1
        stamp = item.pts if item.pts is not None else item.dts
        if stamp is None or item.time_base is None:
            self._now += self._step
            return self._now
        seconds = float(stamp * item.time_base)
        if self._first is None:
            self._first = seconds
        at = self._offset + seconds - self._first
        if at < self._now - self._step / 2 or at > self._now + MAX_GAP_S:
            # Recordings are glued from pieces, each with a clock of its own.
            self._offset += self._now + self._step - at
            at = self._now + self._step
            self.cut = True
        if 0 < at - self._now < 1:
            self._step = at - self._now
        self._now = max(at, self._now)
        return self._now

    def next_pass(self) -> None:
        """Continue after the last frame, from the beginning of the file."""
        if self._frames == 1:
            self._step = _SINGLE_STEP_S
        self._offset = self._now + self._step
        self._first = None
        self._frames = 0

    def wait(self) -> None:
        """Sleep until the time of the last frame."""
        now = time.monotonic()
        if self._zero is None or now - (self._zero + self._now) > MAX_CATCH_UP_S:
            self._zero = now - self._now
        delay = self._zero + self._now - now
        if delay > 0:
            self._stop.wait(delay)
