"""The one interface through which the parts of a stream process report."""

from typing import Literal, Protocol

from vigil_contracts.conditions import FitnessReason

Part = Literal["bus", "counters", "inference", "journal"]
"""Parts whose errors are reported in heartbeats and by the readiness probe."""


class StreamObserver(Protocol):
    """Receives reports; every method may be called from several threads, and none waits."""

    def set_error(self, part: Part, message: str) -> None:
        """Report the error of a part; an empty message when it works again."""

    def observe_duration(self, stage: str, seconds: float) -> None:
        """Report how long one stage took for one frame or event."""

    def set_fitness(self, reason: FitnessReason, message: str) -> None:
        """Report whether the camera is fit for recognition."""

    def events_recorded(self) -> None:
        """Report that the journal holds new events."""

    def results_ready(self) -> None:
        """Report that an analysis has results to collect."""
