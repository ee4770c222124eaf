"""The share of the frames that were left out of late, in words that do not change with every frame."""

from collections import deque
from typing import Final

from vigil_contracts.events import CameraCounters

WINDOW_S: Final = 60.0

_STEPS: Final = ((0.9, "nearly all"), (0.5, "more than half"), (0.2, "more than 20 %"), (0.05, "more than 5 %"))
_SOME: Final = "some"


class FrameLoss:
    """Compares the counters with those of a minute ago; not for several threads."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int, int, int]] = deque()

    def message(self, counters: CameraCounters, at: float) -> str:
        """Return what is lost and the remedy; empty when no frame was left out within the last minute.

        Parameters
        ----------
        at
            Seconds on a clock that only goes forward.
        """
        now = (at, counters.frames_captured, counters.frames_left_out, counters.frames_undecoded)
        self._marks.append(now)
        while len(self._marks) > 2 and self._marks[0][0] < at - WINDOW_S:
            self._marks.popleft()
        captured, left_out, undecoded = (b - a for a, b in zip(self._marks[0][1:], now[1:], strict=True))
        parts = []
        if left_out:
            parts.append(
                f"{_words(left_out, captured + left_out + undecoded)} of the frames of the last minute were left out "
                "because they, or frames that they depend on, came damaged; check cable and network, and let the "
                "camera send a keyframe every 2 s"
            )
        if undecoded:
            parts.append(
                f"{_words(undecoded, captured + left_out + undecoded)} of the frames of the last minute were not "
                "decoded because decoding is slower than the stream; choose a smaller stream of the camera, or a GPU"
            )
        return "; ".join(parts)


def _words(part: int, whole: int) -> str:
    return next((words for share, words in _STEPS if part >= share * whole), _SOME)
