"""The served detector's own description, from which the capacity of a Site is computed."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final

import grpc
import structlog

from vigil_contracts.registry import DetectorStatus
from vigil_vision.faces.model_info import DETECTION
from vigil_vision.triton import wire

log = structlog.get_logger(__name__)

ASK_TIMEOUT_S: Final = 2.0
"""Seconds for the response of each Triton."""

FRESH_S: Final = 30.0
"""Seconds for which a response is reused; without one, Triton is asked again after `AWAY_S`."""

AWAY_S: Final = 5.0
REFERENCE_MS: Final = "vigil_reference_ms"
"""Parameter of the model's configuration, written by the exporter."""


class DetectorReader:
    """Asks the first Triton that answers.

    Parameters
    ----------
    endpoints
        `host:port` of Triton's gRPC, in order of preference.
    """

    def __init__(self, endpoints: Sequence[str]) -> None:
        self._endpoints = tuple(endpoints)
        self._last: DetectorStatus | None = None
        self._asked_at = float("-inf")
        self._asking = asyncio.Lock()

    async def read(self) -> DetectorStatus | None:
        """Return the description; the last one while no Triton answers, None before the first."""
        async with self._asking:
            fresh_s = FRESH_S if self._last else AWAY_S
            if time.monotonic() - self._asked_at >= fresh_s:
                found = await asyncio.to_thread(self._fetch)
                self._last = found or self._last
                self._asked_at = time.monotonic()
            return self._last

    def _fetch(self) -> DetectorStatus | None:
        request = wire.messages.ModelConfigRequest(name=DETECTION).SerializeToString()
        for address in self._endpoints:
            with grpc.insecure_channel(address, options=(("grpc.enable_http_proxy", 0),)) as channel:
                call = channel.unary_unary(wire.SERVICE + "ModelConfig")
                try:
                    raw = call(request, timeout=ASK_TIMEOUT_S)
                except grpc.RpcError as error:
                    log.debug("detector not asked", endpoint=address, reason=str(error.code()))
                    continue
                return read_config(wire.messages.ModelConfigResponse.FromString(raw).config)
        return None


def read_config(config: Any) -> DetectorStatus | None:  # noqa: ANN401 - a protobuf message; generated code has no types
    """Return the description in a model's configuration; None when vigil-models did not write it."""
    parameters = {name: value.string_value for name, value in config.parameters.items()}
    if not parameters.get("vigil_model_id"):
        return None
    return DetectorStatus(
        model_id=parameters["vigil_model_id"],
        instances=sum(group.count for group in config.instance_group) or None,
        reference_ms=_positive(parameters.get(REFERENCE_MS)),
    )


def _positive(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 < value < float("inf") else None
