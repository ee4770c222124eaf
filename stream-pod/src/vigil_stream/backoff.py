"""Waiting longer after each failure, with jitter so that cameras do not come back all at once."""

import random

FIRST_S = 1.0
LONGEST_S = 60.0


class Backoff:
    """Doubles from the first wait to the longest, both in seconds."""

    def __init__(self, first_s: float = FIRST_S, longest_s: float = LONGEST_S) -> None:
        self._first = first_s
        self._longest = longest_s
        self._next = first_s

    def next(self) -> float:
        """Give the seconds to wait now, a half to the whole of a step, and make the next step twice as long."""
        step, self._next = self._next, min(self._next * 2, self._longest)
        return step * random.uniform(0.5, 1)  # noqa: S311 - jitter is no secret

    def reset(self) -> None:
        """Begin again with the shortest wait."""
        self._next = self._first
