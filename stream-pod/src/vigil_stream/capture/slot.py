"""The latest-frame slot between capture and analysis: the newest picture replaces one that nobody took."""

import threading
from dataclasses import dataclass

import av

from vigil_stream.capture.luma import Luma


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A frame that was chosen for analysis.

    Attributes
    ----------
    frame
        As decoded; its planes belong to the decoder and must not be written to.
    luma
        Its small grey picture.
    captured_at
        Seconds since the epoch when it left the decoder.
    at
        The same moment on the monotonic clock.
    cut
        It does not follow from the picture before.
    """

    frame: av.VideoFrame
    luma: Luma
    captured_at: float
    at: float
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Lost:
    """No picture follows for now: the source is lost, or has ended.

    Attributes
    ----------
    ended
        A file came to its end; nothing follows.
    """

    ended: bool = False


@dataclass(frozen=True, slots=True)
class Woken:
    """No picture, but something else to do."""


class Slot:
    """Holds at most one picture and, before it, the news that the source was lost."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._picture: Picture | None = None
        self._lost: Lost | None = None
        self._woken = False
        self.dropped = 0
        """Pictures that were replaced before anything looked at them."""

    def put(self, picture: Picture) -> None:
        """Leave a picture; never waits."""
        with self._changed:
            self.dropped += self._picture is not None
            self._picture = picture
            self._changed.notify()

    def lose(self, *, ended: bool = False) -> None:
        """Leave the news that the source is lost; a picture that still waits is of no use any more."""
        with self._changed:
            self._picture = None
            self._lost = Lost(ended)
            self._changed.notify()

    def wake(self) -> None:
        """Make `take` return, though nothing may have come."""
        with self._changed:
            self._woken = True
            self._changed.notify()

    def take(self, timeout_s: float) -> Picture | Lost | Woken | None:
        """Wait for what comes next; None when nothing came in time."""
        with self._changed:
            if self._picture is None and self._lost is None and not self._woken:
                self._changed.wait(timeout_s)
            if self._woken:
                self._woken = False
                return Woken()
            if self._lost is not None:
                lost, self._lost = self._lost, None
                return lost
            picture, self._picture = self._picture, None
            return picture
