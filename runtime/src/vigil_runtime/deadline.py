"""One deadline for several waits, so that together they take no longer."""

import time


class Deadline:
    """Starts when it is made and ends after so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self, at_most: float = float("inf")) -> float:
        """Return the seconds left for the next wait: never negative, and never more than `at_most`."""
        return max(min(self._end - time.monotonic(), at_most), 0.0)
