"""The two face models, and the client that infers them: endpoints in order of preference, one deadline over all."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Literal, Protocol, Self, TypeAlias, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from vigil_vision.detection import ROW
from vigil_vision.faces.alignment import CROP
from vigil_vision.faces.model_info import DETECTION, RECOGNITION, DetectorInfo, EmbedderInfo, ModelInfo
from vigil_vision.letterbox import STRIDE
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
from vigil_vision.triton.result import InferenceResult
from vigil_vision.triton.shared_memory import RegionStore

Result = TypeVar("Result")

DetectorResult: TypeAlias = InferenceResult[DetectorInfo]
"""Values [N,K,15] float32 in pixels of the input, for `detection.decode`."""

EmbedderResult: TypeAlias = InferenceResult[EmbedderInfo]
"""Values [N,D] float32, rows of unit length."""


class FaceModels(Protocol):
    """Two models; `TritonFaceModels` asks Triton servers for them, others may run them in their own process.

    Every call raises InferenceError when it cannot be answered.
    """

    def detector_info(self) -> DetectorInfo:
        """Return what is served as detector."""

    def embedder_info(self) -> EmbedderInfo:
        """Return what is served as embedder."""

    def detect(self, image: NDArray[np.uint8], *, deadline_s: float | None = None) -> DetectorResult:
        """Find faces in a picture [H,W,3] uint8 RGB; see `TritonFaceModels.detect`."""

    def embed(self, faces: NDArray[np.uint8], *, deadline_s: float | None = None) -> EmbedderResult:
        """Embed aligned faces [N,112,112,3] uint8 RGB; see `TritonFaceModels.embed`."""


class TritonFaceModels:
    """Calls `face_detection` and `face_recognition` on the first endpoint that works.

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
        When there is no endpoint, one is empty or twice there, or the deadline is not positive.
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

    def detect(self, image: NDArray[np.uint8], *, deadline_s: float | None = None) -> DetectorResult:
        """Find faces in one picture or a batch of equal size.

        Parameters
        ----------
        image
            [H,W,3] or [N,H,W,3] uint8 RGB, H and W multiples of 32. An array from `frame_buffer` travels through
            shared memory.
        deadline_s
            Instead of the client's.

        Returns
        -------
        Values [N,K,15] in pixels of that picture (N is 1 for a single picture), for `detection.decode`.

        Raises
        ------
        InferenceError
            One of its subclasses.
        """
        batch = image[None] if image.ndim == 3 else image
        _check_pixels(batch, "pictures", "[N,H,W,3] uint8 with H and W multiples of 32")
        if batch.shape[1] % STRIDE or batch.shape[2] % STRIDE or not batch.size:
            size = f"{batch.shape[2]}x{batch.shape[1]}"
            msg = f"pictures of {size} cannot be analysed; sides must be multiples of {STRIDE}"
            raise InferenceRejected(msg)

        def work(connection: Connection, timeout_s: float) -> DetectorResult:
            until = time.monotonic() + timeout_s
            info = cast("DetectorInfo", connection.info(DETECTION, timeout_s))
            values = _infer(connection, info, (DETECTION, "image", "detections"), batch, until)
            _check_answer(values, (len(batch), info.top_k, ROW), connection.address)
            return InferenceResult(values, info, connection.address)

        return self._run(work, DETECTION, deadline_s)

    def embed(self, faces: NDArray[np.uint8], *, deadline_s: float | None = None) -> EmbedderResult:
        """Embed aligned faces: in one request, or in several when there are more than the model takes at once.

        Parameters
        ----------
        faces
            [N,112,112,3] uint8 RGB; N may be 0.
        deadline_s
            Instead of the client's.

        Returns
        -------
        Values [N,D], rows of unit length.

        Raises
        ------
        InferenceError
            One of its subclasses.
        """
        _check_pixels(faces, "faces", f"[N,{CROP},{CROP},3] uint8")
        if faces.shape[1:3] != (CROP, CROP):
            msg = f"faces of {faces.shape[2]}x{faces.shape[1]} cannot be embedded; align them to {CROP}x{CROP}"
            raise InferenceRejected(msg)

        def work(connection: Connection, timeout_s: float) -> EmbedderResult:
            until = time.monotonic() + timeout_s
            info = cast("EmbedderInfo", connection.info(RECOGNITION, timeout_s))
            if not len(faces):
                return InferenceResult(np.empty((0, info.embedding_size), np.float32), info, connection.address)
            values = _infer(connection, info, (RECOGNITION, "face", "embedding"), faces, until)
            _check_answer(values, (len(faces), info.embedding_size), connection.address)
            return InferenceResult(values, info, connection.address)

        return self._run(work, RECOGNITION, deadline_s)

    def detector_info(self) -> DetectorInfo:
        """Read what is served as detector from the first endpoint that works; raises InferenceError."""
        info = self._run(lambda connection, left: connection.info(DETECTION, left), DETECTION, None)
        return cast("DetectorInfo", info)

    def embedder_info(self) -> EmbedderInfo:
        """Read what is served as embedder from the first endpoint that works; raises InferenceError."""
        info = self._run(lambda connection, left: connection.info(RECOGNITION, left), RECOGNITION, None)
        return cast("EmbedderInfo", info)

    def ready(self, *, deadline_s: float = 1.0) -> bool:
        """Tell whether at least one endpoint serves both models now; asks past circuit breakers."""
        until = time.monotonic() + deadline_s
        for position, endpoint in enumerate(self._endpoints):
            if self._closed.is_set():
                return False
            share = _share(until, len(self._endpoints) - position) / 2
            try:
                if endpoint.attempt(_both_ready, share):
                    return True
            except InferenceError:
                continue
        return False

    def endpoint_states(self) -> tuple[EndpointState, ...]:
        """Tell about every endpoint, in order of preference."""
        return tuple(endpoint.state() for endpoint in self._endpoints)

    def frame_buffer(self, height: int, width: int, *, batch: int | None = None) -> NDArray[np.uint8]:
        """Give a picture to write into, which `detect` then passes on without a copy where it can.

        Parameters
        ----------
        height, width
            In pixels.
        batch
            Pictures in it; None for one without a batch dimension.

        Returns
        -------
        [height,width,3] or [batch,height,width,3] uint8, zeros, contiguous. Write into it only between calls. Its
        memory is given back when the array is garbage collected.
        """
        shape = (height, width, 3) if batch is None else (batch, height, width, 3)
        if self._regions is not None and min(shape) > 0:
            try:
                return self._regions.allocate(int(np.prod(shape))).reshape(shape)
            except OSError:
                # No or too little /dev/shm: the wire is slower, not wrong.
                pass
        return np.zeros(shape, np.uint8)

    def close(self) -> None:
        """Close all connections and give back shared memory; calls after that raise InferenceUnavailable."""
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
        """Try endpoints in order until one answers or the deadline is near; inference may be repeated safely."""
        until = time.monotonic() + (self._deadline_s if deadline_s is None else deadline_s)
        failures: dict[str, InferenceError] = {}
        while True:
            for endpoint, others in self._usable(model, until):
                try:
                    return endpoint.attempt(work, _share(until, others + 1))
                except InferenceRejected:
                    raise
                except InferenceTimeout as error:
                    # The last try may get a few milliseconds only: what the endpoint said before tells more.
                    failures.setdefault(endpoint.address, error)
                except InferenceError as error:
                    failures[endpoint.address] = error
            pause = min(endpoint.breaker.wait_s() for endpoint in self._endpoints)
            busy = any(isinstance(error, InferenceOverloaded) for error in failures.values())
            if busy or time.monotonic() + pause >= until or self._closed.wait(pause):
                raise self._failure(failures)

    def _usable(self, model: str, until: float) -> Iterator[tuple[Endpoint, int]]:
        """Give the endpoints to try now, each with the number of those after it; none when the time is up.

        One that is due for a probe is tried with a real call only when there is no other; else it is asked aside, so
        that no frame waits for a dead server.
        """
        closed = [one for one in self._endpoints if one.breaker.circuit is Circuit.CLOSED]
        for endpoint in self._endpoints:
            # Looked at before a probe is taken: one that nobody makes would keep all others waiting for it to expire.
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
        told = [str(error) for error in failures.values()]
        told += [
            f"{state.endpoint}: left alone after: {state.last_error}"
            for state in self.endpoint_states()
            if state.endpoint not in failures
        ]
        message = "no inference: " + "; ".join(told)
        for kind in (InferenceOverloaded, InferenceTimeout):
            if any(isinstance(error, kind) for error in failures.values()):
                return kind(message)
        return InferenceUnavailable(message)


def _share(until: float, candidates: int) -> float:
    """Seconds for one attempt when `candidates` are still to be tried before `until`."""
    return max((until - time.monotonic()) / max(candidates, 1), 0.001)


def _infer(
    connection: Connection, info: ModelInfo, names: tuple[str, str, str], pixels: NDArray[np.uint8], until: float
) -> NDArray[np.float32]:
    """Run a model (its name, input, output) on pixels [N,...], at most as many at once as its configuration allows."""
    model, *tensors = names
    size = info.max_batch or len(pixels)
    parts = [
        connection.infer(model, (tensors[0], tensors[1]), pixels[start : start + size], _share(until, 1))
        for start in range(0, len(pixels), size)
    ]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _both_ready(connection: Connection, timeout_s: float) -> bool:
    if connection.model_ready(DETECTION, timeout_s) and connection.model_ready(RECOGNITION, timeout_s):
        return True
    msg = f"{connection.address}: models are not ready"
    raise InferenceUnavailable(msg)


def _region_store() -> RegionStore | None:
    try:
        return RegionStore()
    except OSError:
        return None


def _check_pixels(batch: NDArray[np.uint8], what: str, expected: str) -> None:
    if batch.ndim != 4 or batch.shape[3] != 3 or batch.dtype != np.uint8:
        msg = f"{what} of shape {list(batch.shape)}, {batch.dtype}, cannot be sent; {expected} is expected"
        raise InferenceRejected(msg)


def _check_answer(values: NDArray[np.float32], expected: tuple[int, ...], address: str) -> None:
    """Refuse an answer that would poison everything after it."""
    if values.shape != expected:
        msg = f"{address}: answered {list(values.shape)} where {list(expected)} is expected"
        raise InferenceUnavailable(msg)
    if not np.isfinite(values).all():
        msg = f"{address}: answered numbers that are not finite"
        raise InferenceUnavailable(msg)
