"""The latest-frame slot between capture and analysis: the newest frame replaces one that was not taken."""

import threading
from dataclasses import dataclass

import av

from vigil_stream.capture.luma import Luma


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A frame that was sampled for analysis.

    Attributes
    ----------
    decoded
        As it left the decoder, with black where a privacy mask covers it; its planes may belong to the decoder and must
        not be written to.
    luma
        Its small grey image.
    captured_at
        Seconds since the epoch when it left the decoder.
    at
        The same moment on the monotonic clock.
    cut
        It does not follow from the frame before.
    """

    decoded: av.VideoFrame
    luma: Luma
    captured_at: float
    at: float
    cut: bool = False


@dataclass(frozen=True, slots=True)
class SourceLost:
    """No frame follows for now: the source is lost, or has ended.

    Attributes
    ----------
    ended
        A file came to its end; nothing follows.
    """

    ended: bool = False


@dataclass(frozen=True, slots=True)
class ResultsReady:
    """An analysis has results to collect."""


class Slot:
    """Holds at most one frame and, before it, the loss of the source."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._frame: Frame | None = None
        self._lost: SourceLost | None = None
        self._results_ready = False
        self.dropped = 0
        """Frames that were replaced before they were taken."""

    def put(self, frame: Frame) -> None:
        """Replace the frame; never waits."""
        with self._changed:
            self.dropped += self._frame is not None
            self._frame = frame
            self._changed.notify()

    def lose(self, *, ended: bool = False) -> None:
        """Report the loss of the source; a frame that still waits is dropped."""
        with self._changed:
            self._frame = None
            self._lost = SourceLost(ended)
            self._changed.notify()

    def wake(self) -> None:
        """Make `take` return `ResultsReady`."""
        with self._changed:
            self._results_ready = True
            self._changed.notify()

    def take(self, timeout_s: float) -> Frame | SourceLost | ResultsReady | None:
        """Wait for the next item and return it; None when there was none in time."""
        with self._changed:
            if self._frame is None and self._lost is None and not self._results_ready:
                self._changed.wait(timeout_s)
            if self._results_ready:
                self._results_ready = False
                return ResultsReady()
            if self._lost is not None:
                lost, self._lost = self._lost, None
                return lost
            frame, self._frame = self._frame, None
            return frame
