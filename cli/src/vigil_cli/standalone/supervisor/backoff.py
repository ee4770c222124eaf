"""How long to wait before a process is started again."""

import random

FIRST_S = 0.2
"""Most deaths are single ones, and a camera that is not watched is what the restart is for."""
MAX_S = 15.0
HEALTHY_AFTER_S = 60.0
"""A process that was ready for so long has got over its earlier failures."""


class Backoff:
    """Pauses that double with each failure in a row, up to a bound."""

    def __init__(self) -> None:
        self._next_s = FIRST_S

    def pause_s(self, healthy_s: float) -> float:
        """Give the next pause: at least half of its bound, the rest by chance, so that restarts spread.

        Parameters
        ----------
        healthy_s
            How long the process was ready before it ended.
        """
        if healthy_s >= HEALTHY_AFTER_S:
            self._next_s = FIRST_S
        bound = self._next_s
        self._next_s = min(bound * 2, MAX_S)
        return bound * random.uniform(0.5, 1.0)  # noqa: S311 - spreads restarts; nothing is kept secret by it
