"""The interface of all sources, with the watchdog and the sampler that each source works with."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import av

from vigil_stream.capture.frozen import FrozenDetector

OPEN_DEADLINE_S = 10.0
"""For connecting, authenticating and finding the video."""

RESPONSE_DEADLINE_S = 8.0
"""For one response of a camera, the first frame while it is opened, and closing. A slow camera is open before its first
frame comes."""

_HANG_GRACE_S = 7.0
"""Seconds beyond its own deadline after which a call counts as hung."""


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """The properties of an opened source.

    Attributes
    ----------
    width, height
        Pixels; None until the first frame.
    codec
        FFmpeg's name of it, such as `h264`.
    decoder
        `CPU` or `CUDA`.
    """

    width: int | None
    height: int | None
    codec: str
    decoder: str


class Watchdog:
    """A deadline for what a thread does now.

    A call into a decoder that never returns cannot be interrupted, so it is the process that ends.
    """

    __slots__ = ("_deadline", "activity")

    def __init__(self) -> None:
        self._deadline = float("inf")
        self.activity = ""
        """The activity of the thread when the watchdog was armed last."""

    def arm(self, activity: str, seconds: float) -> None:
        """Expire after `seconds` and a grace, unless armed again or disarmed before."""
        self.activity = activity
        self._deadline = time.monotonic() + seconds + _HANG_GRACE_S

    def disarm(self) -> None:
        """Expect nothing."""
        self._deadline = float("inf")

    def expired(self) -> bool:
        """Return whether the deadline has passed."""
        return time.monotonic() > self._deadline


class Sampler:
    """Chooses the frames that are analysed and counts all that came.

    Parameters
    ----------
    fps
        Frames per second to choose, on a fixed grid of time so that the rate does not drift.
    """

    __slots__ = ("_due", "_period", "aspect", "captured", "corrupt", "cut", "left_out", "skipped")

    def __init__(self, fps: float) -> None:
        self._period = 1 / fps
        self._due = float("-inf")
        self.captured = 0
        self.corrupt = 0
        """Packets or frames that were damaged."""
        self.left_out = 0
        """Frames that were damaged, or depend on such ones, and do not count."""
        self.skipped = 0
        """Frames that were not decoded because the stream was behind."""
        self.aspect: Fraction | None = None
        """Set by a source: width of a pixel of the next frame over its height; None: not known."""
        self.cut = False
        """Set by a source whose next frame does not follow from the one before, such as in a file's second pass."""

    @property
    def period_s(self) -> float:
        """The seconds between two frames that are chosen."""
        return self._period

    def offer(self, at: float) -> bool:
        """Count a frame; return whether it is to be analysed.

        Parameters
        ----------
        at
            Seconds on any clock that only goes forward.
        """
        self.captured += 1
        # A tenth of a period of tolerance: else a source of exactly this rate would lose every second frame to
        # jitter.
        if at < self._due - 0.1 * self._period:
            return False
        behind = at - self._due > self._period
        self._due = at + self._period if behind else self._due + self._period
        return True

    def rest(self, seconds: float) -> None:
        """Choose no frame for as long as the last one took, so that a slow decoder leaves time to read what came."""
        self._due = max(self._due, time.monotonic() + seconds)

    def restart(self) -> None:
        """Choose the next frame, whatever its time."""
        self._due = float("-inf")


class Source(Protocol):
    """A source of frames: opened once, read once, closed always."""

    def open(self) -> SourceInfo:
        """Connect and find the video; raise SourceError after at most `OPEN_DEADLINE_S`."""

    def frames(self, sampler: Sampler, frozen: FrozenDetector | None = None) -> Iterator[av.VideoFrame]:
        """Yield the frames that the sampler chooses, as they come; the detector gets all of them.

        Ends when the source has no more (a file). Raises SourceError when it breaks off, is silent for longer than
        `Liveness` allows, or sends what cannot be used.
        """

    def close(self) -> None:
        """Free all resources; may be called at any time and twice."""
