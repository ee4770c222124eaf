"""Whoever undoes again and again what the operator puts right is not fought for ever."""

import time
from collections import deque
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)

QUARREL: Final = 5
"""So many times something is put right..."""
QUARREL_S: Final = 300.0
"""...within so many seconds; then it is left as it is for the rest of them."""


class Quarrels(Generic[K]):
    """Counts by key how often something was put right of late. What is older than a quarrel lasts is forgotten."""

    def __init__(self) -> None:
        self._moments: dict[K, deque[float]] = {}

    def __len__(self) -> int:
        return len(self._moments)

    def left_s(self, key: K) -> float:
        """Give the seconds for which a thing is to be left as it is; 0: it may be put right."""
        moments = self._moments.get(key)
        if moments is None or len(moments) < QUARREL:
            return 0.0
        return max(0.0, QUARREL_S - (time.monotonic() - moments[0]))

    def note(self, key: K) -> bool:
        """Note that a thing was put right; tells whether it was once too often."""
        now = time.monotonic()
        for old in [old for old, moments in self._moments.items() if now - moments[-1] > QUARREL_S]:
            del self._moments[old]
        self._moments.setdefault(key, deque(maxlen=QUARREL)).append(now)
        return self.left_s(key) > 0

    def forget(self, key: K) -> None:
        """Forget a thing that is gone."""
        self._moments.pop(key, None)
