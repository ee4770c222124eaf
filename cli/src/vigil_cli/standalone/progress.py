"""The progress of each item that is applied, and the time of its next attempt."""

import time
from dataclasses import dataclass

from vigil_runtime.backoff import backoff_s


@dataclass(slots=True)
class Progress:
    """The progress of one item.

    Attributes
    ----------
    applied
        Digest of the applied state; None: nothing was applied, or an unknown state by an earlier run.
    exists
        It exists, or may exist, and is removed when it is no longer desired.
    """

    applied: str | None = None
    exists: bool = False
    failures: int = 0
    """Failures in a row of the last attempted state."""
    not_before: float = 0.0
    """Time of the next attempt for the same state; seconds of the monotonic clock."""
    tried: str | None = None
    """Digest of the last attempted state."""
    refused: str | None = None
    """Digest of a state that was refused for good."""
    incomplete: str | None = None
    """Digest of a state that was applied without photos that may appear later."""
    reported: object = None
    """The gist that was reported then."""
    keep_until: float = 0.0
    """Time until which it is not removed, although it is no longer desired; seconds of the monotonic clock."""
    problem: str = ""
    """The problem that was reported last; empty: none."""

    def begin(self, digest: str | None) -> None:
        """Record that an attempt for a state starts."""
        if self.tried != digest:
            self.tried, self.failures, self.not_before = digest, 0, 0.0

    def renew(self) -> None:
        """Make the same state due again, at once."""
        self.applied = self.refused = None
        self.failures, self.not_before = 0, 0.0

    def postpone(self, first_s: float = 0.3, longest_s: float = 15.0) -> None:
        """Postpone the next attempt, with backoff."""
        self.failures += 1
        self.not_before = time.monotonic() + backoff_s(self.failures, first_s, longest_s)

    def due_at(self, digest: str | None) -> float:
        """Return the time of the next attempt for a state; one that was never attempted is due at once."""
        if digest is None:
            return max(self.keep_until, self.not_before if self.tried is None else 0.0)
        return self.not_before if self.tried == digest else 0.0
