"""Memory of the status of one object."""

from dataclasses import dataclass, field

from vigil_operator.reconcile.conflicts import ConflictLimiter


@dataclass(slots=True)
class StatusMemory:
    """Memory of one status.

    Attributes
    ----------
    stored
        Fingerprint of the status that the API server returned for the last write; None: nothing was written.
    ineffective
        Fingerprint of a write of which the API server did not keep everything; it is not repeated.
    conflicts
        The writes over the status of another writer.
    """

    stored: str | None = None
    ineffective: str | None = None
    conflicts: ConflictLimiter = field(default_factory=ConflictLimiter)

    def clear(self) -> None:
        """Forget everything."""
        self.stored = self.ineffective = None
        self.conflicts.reset()
