"""One gRPC channel to a Triton server, with all state that a restart of the server invalidates.

A connection is thrown away when its server fails, and with it the channel's own reconnection pauses, the infos of the
models and the list of registered shared memory regions.
"""

import logging
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import grpc
from numpy.typing import NDArray

from vigil_vision.triton import wire
from vigil_vision.triton.errors import (
    InferenceError,
    InferenceRejected,
    InferenceUnavailable,
    RegionKnown,
    RegionLost,
    from_grpc,
)
from vigil_vision.triton.model_info import ModelInfo, read_model_info
from vigil_vision.triton.shared_memory import RegionStore
from vigil_vision.triton.wire import Tensors

MAX_MESSAGE_BYTES = 256 * 1024 * 1024
"""A batch of eight 4K images is 200 MB."""

_OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    # A peer that vanished silently is noticed within 15 s even in a long call. Pings without calls would be
    # refused by Triton with GOAWAY, since it allows one in 5 minutes.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 0),
    # Retries and their pauses are the client's, over all endpoints; gRPC's own would hide failures from it.
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # Else a new channel would inherit the pauses of the one before.
    ("grpc.use_local_subchannel_pool", 1),
    # A headless service's name resolves to the addresses of all its pods.
    ("grpc.lb_policy_name", "round_robin"),
    # An HTTP proxy from the environment is meant for the internet.
    ("grpc.enable_http_proxy", 0),
)

INFO_FRESH_S = 1.0
"""After a silence this long the server may have restarted with other models (no Triton restarts faster), so that the
model's info is read again before the next request."""

INFO_EXPIRES_S = 30.0
"""Also without a silence, for models that are reloaded in a running server."""

REGISTRATIONS_TOLERATED = 3
"""Times in a row that a server may lose a region; then frames take the wire (as with several pods behind one name)."""


class Connection:
    """A channel, the infos of the models and the registered regions; thread-safe. Connects at the first call."""

    def __init__(self, address: str, regions: RegionStore | None) -> None:
        self.address = address
        self.regions = regions
        self._channel = grpc.insecure_channel(address, options=_OPTIONS)
        self._infer = self._method("ModelInfer")
        self._lock = threading.Lock()
        self._infos: dict[str, tuple[ModelInfo, float]] = {}
        self._registered: set[str] = set()
        self._lost_in_a_row = 0
        self._last_response = 0.0

    @property
    def shared_memory(self) -> bool:
        """Whether frames went through shared memory."""
        return self.regions is not None and bool(self._registered)

    def infer(self, model: str, inputs: Tensors, timeout_s: float) -> Tensors:
        """Run a model once; inputs that lie in a region travel through shared memory, the others over the wire.

        Parameters
        ----------
        model
            Its name.
        inputs
            Arrays by the name of the input, with the batch.
        timeout_s
            Seconds for the whole.

        Returns
        -------
        All outputs by name.
        """
        until = time.monotonic() + timeout_s
        # Registering gets a part of the time only: when it hangs, the wire must still have its chance.
        regions = self._regions_of(inputs, timeout_s / 2)
        if not regions:
            return self._send(model, inputs, regions, _left(until))
        try:
            outputs = self._send(model, inputs, regions, _left(until))
        except RegionLost:
            # The server restarted between two calls, so its state here is void. The wire is certain.
            self._forget()
            return self._send(model, inputs, {}, _left(until))
        self._lost_in_a_row = 0
        return outputs

    def info(self, model: str, timeout_s: float) -> ModelInfo:
        """Return the configuration of a model, read anew when it may have changed."""
        now = time.monotonic()
        known = self._infos.get(model)
        if known and now - self._last_response < INFO_FRESH_S and now - known[1] < INFO_EXPIRES_S:
            return known[0]
        request = wire.messages.ModelConfigRequest(name=model)
        raw = self._call("ModelConfig", request.SerializeToString(), timeout_s)
        config = wire.messages.ModelConfigResponse.FromString(raw).config
        info = read_model_info(config)
        if known and known[0].model_id != info.model_id:
            logging.getLogger(__name__).warning(
                "%s now serves %s as %s instead of %s", self.address, info.model_id, model, known[0].model_id
            )
        self._infos[model] = (info, now)
        return info

    def model_ready(self, model: str, timeout_s: float) -> bool:
        """Return whether the server can run a model now."""
        request = wire.messages.ModelReadyRequest(name=model)
        raw = self._call("ModelReady", request.SerializeToString(), timeout_s)
        return bool(wire.messages.ModelReadyResponse.FromString(raw).ready)

    def probe(self, model: str, timeout_s: float) -> "grpc.Future":
        """Start what `model_ready` does, without waiting; the future's result is the raw response, for `probe_result`.

        Raises
        ------
        InferenceUnavailable
            When another thread has closed the connection meanwhile.
        """
        request = wire.messages.ModelReadyRequest(name=model)
        try:
            return self._method("ModelReady").future(request.SerializeToString(), timeout=timeout_s)
        except ValueError as error:
            raise self._closed() from error

    def close(self, timeout_s: float = 0.5) -> None:
        """Unregister regions where the server still responds, and close the channel."""
        for name in tuple(self._registered):
            with suppress(InferenceError):
                self._unregister(name, timeout_s)
        self.abandon()

    def abandon(self) -> None:
        """Close the channel of a server that failed; calls in flight on it fail at once."""
        self._channel.close()

    def _method(self, name: str) -> "grpc.UnaryUnaryMultiCallable":
        return self._channel.unary_unary(wire.SERVICE + name, request_serializer=None, response_deserializer=None)

    def _call(self, method: str, request: bytes, timeout_s: float) -> bytes:
        return self._invoke(self._method(method), request, timeout_s)

    def _send(self, model: str, inputs: Tensors, regions: Mapping[str, tuple[str, int]], timeout_s: float) -> Tensors:
        try:
            request = wire.infer_request(model, inputs, timeout_s=timeout_s, regions=regions)
        except ValueError as error:
            raise InferenceRejected(str(error)) from error
        if len(regions) < len(inputs):
            request = wire.with_contents(request, (array for name, array in inputs.items() if name not in regions))
        raw = self._invoke(self._infer, request, timeout_s)
        try:
            return wire.read_outputs(raw)
        except ValueError as error:
            msg = f"{self.address}: the response cannot be read: {error}"
            raise InferenceUnavailable(msg) from error

    def _invoke(self, method: "grpc.UnaryUnaryMultiCallable", request: bytes, timeout_s: float) -> bytes:
        try:
            raw: bytes = method(request, timeout=timeout_s)
        except grpc.RpcError as error:
            raise from_grpc(error, self.address, timeout_s) from error
        except ValueError as error:
            raise self._closed() from error
        self._last_response = time.monotonic()
        return raw

    def _closed(self) -> InferenceUnavailable:
        """Return the error for grpcio's ValueError when another thread has closed the channel meanwhile."""
        return InferenceUnavailable(f"{self.address}: connection closed")

    def _regions_of(self, inputs: Tensors, timeout_s: float) -> dict[str, tuple[str, int]]:
        """Return, for each input that lies in a registered region, the region's name and the offset."""
        if self.regions is None:
            return {}
        until = time.monotonic() + timeout_s
        found = {name: self._region_of(array, _left(until)) for name, array in inputs.items()}
        return {name: region for name, region in found.items() if region is not None}

    def _region_of(self, array: NDArray[Any], timeout_s: float) -> tuple[str, int] | None:
        """Return the registered region of an array; registers it first where needed. None: take the wire."""
        if self.regions is None:
            return None
        found = self.regions.find(array)
        if found is None:
            return None
        region, offset = found
        with self._lock:
            if region.name not in self._registered and not self._register(
                region.name, region.key, region.size, timeout_s
            ):
                return None
        return region.name, offset

    def _register(self, name: str, key: str, size: int, timeout_s: float) -> bool:
        until = time.monotonic() + timeout_s
        for stale in self._registered - (self.regions.names() if self.regions else set()):
            with suppress(InferenceError):
                self._unregister(stale, _left(until))
        request = wire.messages.SystemSharedMemoryRegisterRequest(name=name, key=key, offset=0, byte_size=size)
        try:
            self._call("SystemSharedMemoryRegister", request.SerializeToString(), _left(until))
        except RegionKnown:
            # By a connection that was dropped while the server lived; a name is never used for a second region.
            pass
        except InferenceError as error:
            logging.getLogger(__name__).info(
                "%s cannot read shared memory, frames go over the wire: %s", self.address, error
            )
            self.regions = None
            return False
        self._registered.add(name)
        return True

    def _unregister(self, name: str, timeout_s: float) -> None:
        self._registered.discard(name)
        request = wire.messages.SystemSharedMemoryUnregisterRequest(name=name)
        self._call("SystemSharedMemoryUnregister", request.SerializeToString(), timeout_s)

    def _forget(self) -> None:
        with self._lock:
            self._infos.clear()
            self._registered.clear()
            self._lost_in_a_row += 1
            if self._lost_in_a_row >= REGISTRATIONS_TOLERATED:
                self.regions = None


def _left(until: float) -> float:
    """Return the seconds until then, as a deadline: never 0, which gRPC takes for none."""
    return max(until - time.monotonic(), 0.001)


def probe_result(future: "grpc.Future") -> bool:
    """Return whether a probed model is ready; False on any failure."""
    try:
        raw = future.result(timeout=0)
    except (grpc.RpcError, grpc.FutureTimeoutError, grpc.FutureCancelledError):
        return False
    return bool(wire.messages.ModelReadyResponse.FromString(raw).ready)
