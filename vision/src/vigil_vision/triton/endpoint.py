"""One endpoint: its connection, its circuit breaker, and its counters."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import grpc

from vigil_vision.triton.breaker import Breaker, Circuit
from vigil_vision.triton.connection import Connection, probe_result
from vigil_vision.triton.errors import InferenceError, InferenceOverloaded, InferenceRejected, InferenceTimeout
from vigil_vision.triton.shared_memory import RegionStore

PROBE_TIMEOUT_S = 1.0

Result = TypeVar("Result")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EndpointState:
    """The state of one endpoint, for metrics and heartbeats.

    Attributes
    ----------
    endpoint
        `host:port`.
    circuit
        Closed: in use. Open: not called until its pause is over. HalfOpen: being probed.
    succeeded, failed
        Calls since the start.
    shared_memory
        Whether frames go there through shared memory.
    last_error
        Empty when the last call went well.
    """

    endpoint: str
    circuit: Circuit
    succeeded: int
    failed: int
    shared_memory: bool
    last_error: str


class Endpoint:
    """An address that may be called; thread-safe."""

    def __init__(self, address: str, regions: RegionStore | None) -> None:
        self.address = address
        self.breaker = Breaker()
        self._regions = regions
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._succeeded = 0
        self._failed = 0
        self._last_error = ""

    def state(self) -> EndpointState:
        """Return the present state."""
        with self._lock:
            shared = self._connection is not None and self._connection.shared_memory
            return EndpointState(
                self.address, self.breaker.circuit, self._succeeded, self._failed, shared, self._last_error
            )

    def attempt(self, work: Callable[[Connection, float], Result], timeout_s: float) -> Result:
        """Return the result of some work on the connection, and note whether it succeeded."""
        connection = self.connect()
        try:
            result = work(connection, timeout_s)
        except (InferenceRejected, InferenceOverloaded) as error:
            # The server is alive, which is all that concerns the breaker.
            self._note(connection, error, alive=True)
            raise
        except InferenceError as error:
            self._note(connection, error, alive=False)
            raise
        self._note(connection, None, alive=True)
        return result

    def connect(self) -> Connection:
        """Return the connection, a new one after a failure."""
        with self._lock:
            if self._connection is None:
                self._connection = Connection(self.address, self._regions)
            return self._connection

    def probe(self, model: str) -> None:
        """Start to probe whether the server is back, without waiting; do nothing when no probe is due."""
        if not self.breaker.try_probe():
            return
        connection = self.connect()

        def done(future: "grpc.Future") -> None:
            if probe_result(future):
                self._note(connection, None, alive=True)
            else:
                self._drop(connection)
                self.breaker.failed(decisive=True)

        try:
            connection.probe(model, PROBE_TIMEOUT_S).add_done_callback(done)
        except InferenceError:
            self._drop(connection)
            self.breaker.failed(decisive=True)

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _note(self, connection: Connection, error: InferenceError | None, *, alive: bool) -> None:
        with self._lock:
            if connection is not self._connection:
                # A late call on a connection that was dropped earlier does not concern the present server.
                return
            self._succeeded += error is None
            self._failed += error is not None
            self._last_error = str(error) if error is not None else ""
        if alive:
            if self.breaker.succeeded():
                _log.info("inference endpoint %s responds again", self.address)
            return
        was_closed = self.breaker.circuit is Circuit.CLOSED
        if self.breaker.failed(decisive=not isinstance(error, InferenceTimeout)):
            self._drop(connection)
            if was_closed:
                _log.warning("inference endpoint %s failed and is paused: %s", self.address, error)

    def _drop(self, connection: Connection) -> None:
        with self._lock:
            if self._connection is connection:
                self._connection = None
        connection.abandon()
