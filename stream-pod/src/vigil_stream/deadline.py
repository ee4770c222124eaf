"""One deadline for several waits, so that they never add up to more."""

import time


class Deadline:
    """Begins when it is made; ends so many seconds after."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self, at_most: float = float("inf")) -> float:
        """Give the seconds that are left for the next wait: never negative, and never more than `at_most`."""
        return max(min(self._end - time.monotonic(), at_most), 0.0)
