"""One Triton server: its channel, its circuit breaker, the cards of its models."""

from dataclasses import dataclass
from enum import StrEnum


class Circuit(StrEnum):
    """State of a circuit breaker."""

    CLOSED = "Closed"
    OPEN = "Open"
    HALF_OPEN = "HalfOpen"


@dataclass(frozen=True, slots=True)
class EndpointState:
    """What a client knows of one endpoint, for metrics and heartbeats.

    Attributes
    ----------
    endpoint
        `host:port`.
    circuit
        Closed: in use. Open: left alone until its pause is over. HalfOpen: being probed.
    answered, failed
        Calls since the start.
    shared_memory
        Whether frames go there through shared memory.
    last_error
        Empty when the last call went well.
    """

    endpoint: str
    circuit: Circuit
    answered: int
    failed: int
    shared_memory: bool
    last_error: str
