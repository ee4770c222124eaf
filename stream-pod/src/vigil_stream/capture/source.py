"""The one interface of all sources, and the three small things that every source works with."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import av

from vigil_stream.capture.frozen import FrozenDetector

OPEN_DEADLINE_S = 10.0
"""For connecting, authenticating and finding the video. A camera that waits for its next keyframe needs up to one
GOP."""

READ_DEADLINE_S = 8.0
"""For the next data. Longer than a camera's pause at a change of its settings, short enough to be told within 20 s."""

_HANG_GRACE_S = 7.0
"""What a call may take beyond its own deadline before it counts as hung."""


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What was found when a source was opened.

    Attributes
    ----------
    width, height
        Pixels; None until the first picture.
    codec
        FFmpeg's name of it, such as `h264`.
    decoder
        `CPU` or `CUDA`.
    """

    width: int | None
    height: int | None
    codec: str
    decoder: str


class Guard:
    """When the capture thread must show a sign of life, for the watchdog.

    A call into a decoder that never returns cannot be interrupted, so it is the process that ends.
    """

    __slots__ = ("_deadline", "doing")

    def __init__(self) -> None:
        self._deadline = float("inf")
        self.doing = ""

    def expect(self, doing: str, seconds: float) -> None:
        """Promise to be back within `seconds` (and a grace) from a call that does `doing`."""
        self.doing = doing
        self._deadline = time.monotonic() + seconds + _HANG_GRACE_S

    def rest(self) -> None:
        """Promise nothing."""
        self._deadline = float("inf")

    def overdue(self) -> bool:
        """Tell whether a promise was broken."""
        return time.monotonic() > self._deadline


class Sampler:
    """Chooses the pictures that are analysed and counts all that came.

    Parameters
    ----------
    fps
        Pictures per second to choose, on a fixed grid of time so that the rate does not drift.
    """

    __slots__ = ("_due", "_period", "captured", "corrupt", "cut")

    def __init__(self, fps: float) -> None:
        self._period = 1 / fps
        self._due = float("-inf")
        self.captured = 0
        self.corrupt = 0
        """Packets or pictures that were damaged and left out."""
        self.cut = False
        """Set by a source whose next picture does not follow from the one before, such as a file's second pass."""

    def offer(self, at: float) -> bool:
        """Count a picture; True when it is to be analysed.

        Parameters
        ----------
        at
            Seconds on any clock that only goes forward.
        """
        self.captured += 1
        # A tenth of a period of tolerance: else a source of exactly this rate would lose every second picture to
        # jitter.
        if at < self._due - 0.1 * self._period:
            return False
        behind = at - self._due > self._period
        self._due = at + self._period if behind else self._due + self._period
        return True

    def restart(self) -> None:
        """Choose the next picture that comes, whatever its time."""
        self._due = float("-inf")


class Source(Protocol):
    """Something that gives pictures: opened once, read once, closed always."""

    def open(self) -> SourceInfo:
        """Connect and find the video; SourceError after at most `OPEN_DEADLINE_S`."""

    def frames(self, sampler: Sampler, frozen: FrozenDetector | None = None) -> Iterator[av.VideoFrame]:
        """Give the pictures that the sampler chooses, as they come; the detector is shown those that it does not, too.

        Ends when the source has no more (a file). Raises SourceError when it breaks off, sends nothing for
        `READ_DEADLINE_S`, or sends what cannot be used.
        """

    def close(self) -> None:
        """Give everything back; may be called at any time and twice."""
