"""The client: any model by name, endpoints in order of preference, one deadline over all attempts."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Literal, Self, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from vigil_vision.triton.breaker import Circuit
from vigil_vision.triton.connection import Connection
from vigil_vision.triton.endpoint import Endpoint, EndpointState
from vigil_vision.triton.errors import (
    InferenceError,
    InferenceOverloaded,
    InferenceRejected,
    InferenceTimeout,
    InferenceUnavailable,
)
from vigil_vision.triton.model_info import ModelInfo
from vigil_vision.triton.shared_memory import RegionStore
from vigil_vision.triton.wire import Tensors

Info = TypeVar("Info")
Values = TypeVar("Values")
Result = TypeVar("Result")

Expect: TypeAlias = Callable[[ModelInfo], Mapping[str, tuple[int, ...]]]
"""Returns the shape, with the batch, of each output that is needed; -1 where any size is allowed.

It is called for the model of each endpoint that is tried. A ValueError makes the endpoint unusable, and the next one is
tried; so does an output of another shape, or one with numbers that are not finite.
"""


@dataclass(frozen=True, slots=True, eq=False)
class InferenceResult(Generic[Values, Info]):
    """The outputs of one call and where they come from.

    Attributes
    ----------
    values
        Outputs of the model.
    info
        The model that was run: after a failover it may be another than before.
    endpoint
        `host:port` of the server that ran it.
    """

    values: Values
    info: Info
    endpoint: str


class TritonClient:
    """Runs models on the first endpoint that works.

    All methods may be called from several threads; from asyncio through `asyncio.to_thread`. Creating a client
    connects to nothing. An attempt gets its share of the deadline, so that a server that hangs leaves time for the
    next one. When every endpoint is down, a call waits for the next one due to be probed, as long as its deadline
    allows.

    Parameters
    ----------
    endpoints
        `host:port` of Triton's gRPC services, the preferred one first; at least one.
    deadline_s
        Seconds that a call may take, all attempts together.
    shared_memory
        `auto` puts frames into POSIX shared memory where the server can open it; `off` always uses the wire.

    Raises
    ------
    ValueError
        When there is no endpoint, one is empty or named twice, or the deadline is not positive.
    """

    def __init__(
        self,
        endpoints: Sequence[str],
        *,
        deadline_s: float = 2.0,
        shared_memory: Literal["auto", "off"] = "auto",
    ) -> None:
        addresses = [address.strip() for address in endpoints]
        if not addresses or not all(addresses) or len(set(addresses)) != len(addresses):
            msg = f"inference endpoints {list(endpoints)} do not work; name at least one host:port, each once"
            raise ValueError(msg)
        if deadline_s <= 0:
            msg = f"an inference deadline of {deadline_s} s does not work; it must be positive"
            raise ValueError(msg)
        self._deadline_s = deadline_s
        self._regions = _region_store() if shared_memory == "auto" else None
        self._endpoints = tuple(Endpoint(address, self._regions) for address in addresses)
        self._closed = threading.Event()

    def infer(
        self, model: str, inputs: Tensors, deadline_s: float | None = None, *, expect: Expect | None = None
    ) -> InferenceResult[Tensors, ModelInfo]:
        """Run a model: in one request, or in several when there are more items than it takes at once.

        Parameters
        ----------
        model
            Name under which it is served.
        inputs
            Arrays by the name of the input, with the batch; arrays from `frame_buffer` travel through shared memory.
            Inputs without items are not sent; the outputs then have no items either.
        deadline_s
            Instead of the client's.
        expect
            Outputs that are needed, with their shapes; None takes them from the model's configuration.

        Returns
        -------
        All outputs by name.

        Raises
        ------
        InferenceError
            One of its subclasses.
        """

        def work(connection: Connection, timeout_s: float) -> InferenceResult[Tensors, ModelInfo]:
            until = time.monotonic() + timeout_s
            info = connection.info(model, timeout_s)
            shapes = _apply(expect or (lambda served: _configured_shapes(served, inputs)), connection, info)
            if all(array.size for array in inputs.values()):
                values = _infer_parts(connection, info, inputs, until)
                _check_outputs(values, shapes, connection.address)
            else:
                values = _empty_outputs(info, shapes)
            return InferenceResult(values, info, connection.address)

        return self._run(work, model, deadline_s)

    def model_info(self, model: str) -> ModelInfo:
        """Return the configuration of a model on the first endpoint that works; raises InferenceError."""
        return self.read_info(model, lambda info: info)

    def read_info(self, model: str, read: Callable[[ModelInfo], Info]) -> Info:
        """Return what `read` makes of a model's configuration; its ValueError makes an endpoint unusable."""
        return self._run(lambda connection, left: _apply(read, connection, connection.info(model, left)), model, None)

    def ready(self, models: Sequence[str], *, deadline_s: float = 1.0) -> bool:
        """Return whether at least one endpoint serves all these models now; asks past circuit breakers."""

        def work(connection: Connection, timeout_s: float) -> bool:
            if all(connection.model_ready(model, timeout_s) for model in models):
                return True
            msg = f"{connection.address}: models are not ready"
            raise InferenceUnavailable(msg)

        until = time.monotonic() + deadline_s
        for position, endpoint in enumerate(self._endpoints):
            if self._closed.is_set():
                return False
            share = _share(until, len(self._endpoints) - position) / max(len(models), 1)
            try:
                if endpoint.attempt(work, share):
                    return True
            except InferenceError:
                continue
        return False

    def endpoint_states(self) -> tuple[EndpointState, ...]:
        """Return the state of every endpoint, in order of preference."""
        return tuple(endpoint.state() for endpoint in self._endpoints)

    def frame_buffer(self, height: int, width: int, *, batch: int | None = None) -> NDArray[np.uint8]:
        """Return an array to write a frame into, which `infer` then passes on without a copy where it can.

        Parameters
        ----------
        height, width
            In pixels.
        batch
            Frames in it; None for one without a batch dimension.

        Returns
        -------
        [height,width,3] or [batch,height,width,3] uint8, zeros, contiguous. Write into it only between calls. Its
        memory is released when the array is garbage collected.
        """
        shape = (height, width, 3) if batch is None else (batch, height, width, 3)
        if self._regions is not None and min(shape) > 0:
            try:
                return self._regions.allocate(int(np.prod(shape))).reshape(shape)
            except OSError:
                # No or too little /dev/shm: the wire is only slower.
                pass
        return np.zeros(shape, np.uint8)

    def close(self) -> None:
        """Close all connections and release shared memory; calls after that raise InferenceUnavailable."""
        self._closed.set()
        for endpoint in self._endpoints:
            endpoint.close()
        if self._regions is not None:
            self._regions.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, work: Callable[[Connection, float], Result], model: str, deadline_s: float | None) -> Result:
        """Try endpoints in order until one responds or the deadline is near; inference may be repeated safely."""
        until = time.monotonic() + (self._deadline_s if deadline_s is None else deadline_s)
        failures: dict[str, InferenceError] = {}
        while True:
            for endpoint, others in self._usable(model, until):
                try:
                    return endpoint.attempt(work, _share(until, others + 1))
                except InferenceRejected:
                    raise
                except InferenceTimeout as error:
                    # The last attempt may have a few milliseconds only: the error of an earlier one explains more.
                    failures.setdefault(endpoint.address, error)
                except InferenceError as error:
                    failures[endpoint.address] = error
            pause = min(endpoint.breaker.wait_s() for endpoint in self._endpoints)
            busy = any(isinstance(error, InferenceOverloaded) for error in failures.values())
            if busy or time.monotonic() + pause >= until or self._closed.wait(pause):
                raise self._failure(failures)

    def _usable(self, model: str, until: float) -> Iterator[tuple[Endpoint, int]]:
        """Yield the endpoints to try now, each with the number of those after it; none when the time is up.

        One that is due for a probe is tried with a real call only when there is no other; else it is probed aside, so
        that no frame waits for a dead server.
        """
        closed = [one for one in self._endpoints if one.breaker.circuit is Circuit.CLOSED]
        for endpoint in self._endpoints:
            # Checked before a probe is taken: a probe that is not made would block all others until it expires.
            if self._closed.is_set() or until <= time.monotonic():
                return
            if endpoint in closed:
                yield endpoint, len(closed) - closed.index(endpoint) - 1
            elif closed:
                endpoint.probe(model)
            elif endpoint.breaker.try_probe():
                yield endpoint, 0

    def _failure(self, failures: dict[str, InferenceError]) -> InferenceError:
        if self._closed.is_set():
            return InferenceUnavailable("the inference client is closed")
        causes = [str(error) for error in failures.values()]
        causes += [
            f"{state.endpoint}: paused after: {state.last_error}"
            for state in self.endpoint_states()
            if state.endpoint not in failures
        ]
        message = "no inference: " + "; ".join(causes)
        for kind in (InferenceOverloaded, InferenceTimeout):
            if any(isinstance(error, kind) for error in failures.values()):
                return kind(message)
        return InferenceUnavailable(message)


def _share(until: float, candidates: int) -> float:
    """Return the seconds for one attempt when `candidates` are still to be tried before `until`."""
    return max((until - time.monotonic()) / max(candidates, 1), 0.001)


def _apply(read: Callable[[ModelInfo], Result], connection: Connection, info: ModelInfo) -> Result:
    try:
        return read(info)
    except ValueError as error:
        msg = f"{connection.address}: {info.name}: {error}"
        raise InferenceUnavailable(msg) from error


def _configured_shapes(info: ModelInfo, inputs: Tensors) -> dict[str, tuple[int, ...]]:
    batch = (_count(inputs),) if info.max_batch else ()
    return {output.name: batch + output.dims for output in info.outputs}


def _count(inputs: Tensors) -> int:
    """Return how many items a batch holds; InferenceRejected when its inputs differ in that."""
    counts = {array.shape[0] for array in inputs.values() if array.ndim}
    if len(counts) > 1:
        shapes = {name: list(array.shape) for name, array in inputs.items()}
        msg = f"inputs of shapes {shapes} cannot be sent; each needs the same number of items"
        raise InferenceRejected(msg)
    return counts.pop() if counts else 0


def _infer_parts(connection: Connection, info: ModelInfo, inputs: Tensors, until: float) -> Tensors:
    """Run a model on all items, at most as many at once as its configuration allows."""
    size = info.max_batch
    count = _count(inputs) if size else 0
    if count <= size:
        return connection.infer(info.name, inputs, _share(until, 1))
    parts = [
        connection.infer(
            info.name, {name: array[start : start + size] for name, array in inputs.items()}, _share(until, 1)
        )
        for start in range(0, count, size)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _empty_outputs(info: ModelInfo, shapes: Mapping[str, tuple[int, ...]]) -> Tensors:
    dtypes = {output.name: output.dtype for output in info.outputs}
    return {
        name: np.empty([max(side, 0) for side in shape], dtypes.get(name, np.float32)) for name, shape in shapes.items()
    }


def _check_outputs(values: Tensors, expected: Mapping[str, tuple[int, ...]], address: str) -> None:
    """Refuse outputs that would poison everything after them."""
    for name, shape in expected.items():
        array = values.get(name)
        if array is None:
            msg = f"{address}: returned outputs {list(values)} where {name!r} is expected"
            raise InferenceUnavailable(msg)
        if array.ndim != len(shape) or any(want not in (-1, got) for got, want in zip(array.shape, shape, strict=True)):
            msg = f"{address}: returned {list(array.shape)} where {list(shape)} is expected"
            raise InferenceUnavailable(msg)
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            msg = f"{address}: returned numbers that are not finite"
            raise InferenceUnavailable(msg)


def _region_store() -> RegionStore | None:
    try:
        return RegionStore()
    except OSError:
        return None
