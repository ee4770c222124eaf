"""Turns for what can wait, so that a thousand of it take nothing from what cannot."""

import time
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Pace(Generic[K]):
    """So many turns a second, for whoever comes.

    Parameters
    ----------
    per_s
        Turns a second.
    at_once
        So many that nobody took may be taken at once.
    """

    def __init__(self, per_s: float, at_once: float) -> None:
        self._per_s = per_s
        self._at_once = at_once
        self._left = at_once
        self._at = time.monotonic()
        self._waiting: set[K] = set()

    def wait_s(self, key: K) -> float:
        """Take a turn: 0 when it is given, else the seconds after which to ask again."""
        now = time.monotonic()
        self._left = min(self._at_once, self._left + (now - self._at) * self._per_s)
        self._at = now
        if self._left >= 1.0:
            self._left -= 1.0
            self._waiting.discard(key)
            return 0.0
        self._waiting.add(key)
        return len(self._waiting) / self._per_s

    def forget(self, key: K) -> None:
        """Note that a key no longer waits."""
        self._waiting.discard(key)
