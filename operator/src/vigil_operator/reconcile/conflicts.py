"""Stop restoring what another writer changes again and again."""

import time
from typing import Final

MAX_REPAIRS: Final = 5
"""Repairs within `WINDOW_S`; then the thing is left as it is for the rest of the window."""
WINDOW_S: Final = 300.0


class ConflictLimiter:
    """Counts the recent repairs of one thing."""

    def __init__(self) -> None:
        self._repairs: list[float] = []

    def __len__(self) -> int:
        return len(self._repairs)

    def left_s(self) -> float:
        """Return the seconds for which the thing is left as it is; 0: it may be repaired."""
        if len(self._repairs) < MAX_REPAIRS:
            return 0.0
        return max(0.0, WINDOW_S - (time.monotonic() - self._repairs[0]))

    def note(self) -> bool:
        """Count a repair and return whether it was the last one allowed for now."""
        self._repairs = [*self._repairs, time.monotonic()][-MAX_REPAIRS:]
        return self.left_s() > 0

    def reset(self) -> None:
        """Forget all repairs."""
        self._repairs.clear()
