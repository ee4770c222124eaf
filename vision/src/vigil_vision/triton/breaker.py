"""A circuit breaker: an endpoint that failed is paused, then tried by one call, not by all at once."""

import threading
import time
from collections.abc import Callable
from enum import StrEnum

from vigil_runtime.backoff import Backoff

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 10.0
TOLERATED_TIMEOUTS = 3
"""Timeouts in a row before the circuit opens: one may be a hiccup, a refused connection is not."""

PROBE_POLL_S = 0.05
"""While one call probes, the others check again after so many seconds."""

PROBE_EXPIRES_S = 30.0
"""A probe without a result no longer blocks the next one after so many seconds."""


class Circuit(StrEnum):
    """State of a circuit breaker."""

    CLOSED = "Closed"
    OPEN = "Open"
    HALF_OPEN = "HalfOpen"


class Breaker:
    """State of one endpoint; thread-safe.

    Pauses double from 0.1 s to 10 s, each shortened by up to a half at random, so that the clients of a restarted
    server do not come back in step.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, backoff: Backoff | None = None) -> None:
        self._clock = clock
        self._backoff = backoff or Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        self._lock = threading.Lock()
        self._timeouts = 0
        self._retry_at: float | None = None
        self._probe_since: float | None = None

    @property
    def circuit(self) -> Circuit:
        """The present state."""
        with self._lock:
            if self._retry_at is None:
                return Circuit.CLOSED
            return Circuit.HALF_OPEN if self._probing() else Circuit.OPEN

    def wait_s(self) -> float:
        """Return the seconds until the next call is worthwhile: 0 when closed or due."""
        with self._lock:
            if self._retry_at is None:
                return 0.0
            return PROBE_POLL_S if self._probing() else max(self._retry_at - self._clock(), 0.0)

    def try_probe(self) -> bool:
        """Return whether the caller is the one that probes an open circuit whose pause is over."""
        with self._lock:
            if self._retry_at is None or self._probing() or self._clock() < self._retry_at:
                return False
            self._probe_since = self._clock()
            return True

    def succeeded(self) -> bool:
        """Note a success; return whether it closed an open circuit."""
        with self._lock:
            was_open = self._retry_at is not None
            self._timeouts = 0
            self._backoff.reset()
            self._retry_at = self._probe_since = None
            return was_open

    def failed(self, *, decisive: bool) -> bool:
        """Note a failure; return whether the circuit is open now.

        Parameters
        ----------
        decisive
            The server is certainly gone (connection refused, model missing); else it only took too long.
        """
        with self._lock:
            self._timeouts += 1
            if not decisive and self._retry_at is None and self._timeouts < TOLERATED_TIMEOUTS:
                return False
            self._retry_at = self._clock() + self._backoff.next_s()
            self._probe_since = None
            return True

    def _probing(self) -> bool:
        return self._probe_since is not None and self._clock() - self._probe_since < PROBE_EXPIRES_S
