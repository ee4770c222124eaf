"""Faces beyond `detection.maxFaces`: they are left out, and that is reported for a minute."""

from typing import Final

from vigil_contracts.conditions import FitnessReason

REPORTED_S: Final = 60.0


class Crowd:
    """Counts the faces that are left out; not for several threads.

    Parameters
    ----------
    limit
        Faces of a frame that are analysed.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._most = 0
        self._seen_at = float("-inf")
        self.left_out = 0
        """Faces of all frames so far."""

    def add(self, left_out: int, at: float) -> None:
        """Add the faces of a frame that were left out; `at` on a clock that only goes forward."""
        if at - self._seen_at > REPORTED_S:
            self._most = 0
        if left_out:
            self._seen_at = at
            self._most = max(self._most, left_out)
            self.left_out += left_out

    def assess(self) -> tuple[FitnessReason, str] | None:
        """Return the reason and its message; None when all faces of the last minute were analysed."""
        if not self._most:
            return None
        seen = f"up to {self._limit + self._most} faces were in view and {self._limit} are analysed"
        return FitnessReason.TOO_MANY_FACES, f"{seen}; raise detection.maxFaces, or point the camera at fewer people"
