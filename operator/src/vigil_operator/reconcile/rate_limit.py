"""A rate limit for work that can wait, so that a thousand pieces of it delay no urgent work."""

import time
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class RateLimit(Generic[K]):
    """A token bucket with keys that wait.

    Parameters
    ----------
    per_s
        Tokens a second.
    burst
        The most tokens that are saved up.
    """

    def __init__(self, per_s: float, burst: float) -> None:
        self._per_s = per_s
        self._burst = burst
        self._left = burst
        self._at = time.monotonic()
        self._waiting: set[K] = set()

    def wait_s(self, key: K) -> float:
        """Take a token and return 0, or return the seconds until the next attempt when there is none."""
        now = time.monotonic()
        self._left = min(self._burst, self._left + (now - self._at) * self._per_s)
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
