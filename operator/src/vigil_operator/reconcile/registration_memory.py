"""Memory of the registration of a Camera or a Site with identity."""

from dataclasses import dataclass, field

from vigil_runtime.backoff import REFUSAL, Backoff


@dataclass(slots=True)
class RegistrationMemory:
    """The state of one object in identity's registry, as far as it is known.

    Attributes
    ----------
    registered
        Fingerprint of the manifest that identity accepted; empty: unknown.
    refused
        Fingerprint of the manifest that identity refused; empty: none.
    refusal
        The reason; empty when nothing is refused.
    retry_at
        When the refused manifest may be sent again; seconds of the monotonic clock.
    """

    registered: str = ""
    refused: str = ""
    refusal: str = ""
    retry_at: float = 0.0
    backoff: Backoff = field(default_factory=Backoff)
    refusals: Backoff = field(default_factory=lambda: Backoff(*REFUSAL))

    def accept(self, mark: str) -> None:
        """Note that identity accepted the manifest with this fingerprint."""
        self.registered, self.refused, self.refusal = mark, "", ""
        self.backoff.reset()
        self.refusals.reset()

    def refuse(self, mark: str, reason: str, now: float) -> float:
        """Note that identity refused the manifest with this fingerprint, and return the seconds to wait."""
        if mark != self.refused:
            self.refusals.reset()
        pause_s = self.refusals.next_s()
        self.refused, self.refusal, self.retry_at = mark, reason, now + pause_s
        return pause_s
