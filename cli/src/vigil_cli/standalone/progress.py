"""How far each thing is that is to be applied, and when it is tried again."""

import time
from dataclasses import dataclass

from vigil_runtime.backoff import backoff_s


@dataclass(slots=True)
class Progress:
    """How far one thing is.

    Attributes
    ----------
    applied
        Digest of what was done; None: nothing, or something unknown of an earlier run.
    exists
        It is there, or may be, and must be taken away when it is no longer desired.
    """

    applied: str | None = None
    exists: bool = False
    failures: int = 0
    """So far, of what was tried last."""
    not_before: float = 0.0
    """When to try the same again; seconds of the monotonic clock."""
    tried: str | None = None
    """Digest of what was tried last."""
    refused: str | None = None
    """Digest that was refused for good."""
    lacking: str | None = None
    """Digest that was done but for photos that may be had later."""
    told: object = None
    """What was told of it then."""
    problem: str = ""
    """What a person was told to be wrong with it."""

    def begin(self, digest: str | None) -> None:
        """Note what is tried now."""
        if self.tried != digest:
            self.tried, self.failures, self.not_before = digest, 0, 0.0

    def renew(self) -> None:
        """Have it done anew, at once, though nothing else is desired than was done."""
        self.applied = self.refused = None
        self.failures, self.not_before = 0, 0.0

    def put_off(self, first_s: float = 0.3, longest_s: float = 15.0) -> None:
        """Have it tried again later, and later each time."""
        self.failures += 1
        self.not_before = time.monotonic() + backoff_s(self.failures, first_s, longest_s)

    def due_at(self, digest: str | None) -> float:
        """Give when to try this; what was never tried is due at once."""
        return self.not_before if self.tried == digest else 0.0
