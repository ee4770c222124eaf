"""Check whether a Site's inference endpoints could work now: the name, the port, the server, its models.

The two calls of Triton's protocol that this takes have a boolean for a response, so they are written and read here byte
by byte instead of bringing protobuf and its generated code into the operator.
"""

import asyncio
import socket
from collections.abc import Sequence
from typing import Final

import grpc

from vigil_contracts.analyses import ANALYSES
from vigil_contracts.resources.site import EndpointStatus, InferenceEndpoint

DEADLINE_S: Final = 3.0
"""For one endpoint, all requests together."""

_SERVICE: Final = "/inference.GRPCInferenceService/"
_TRUE: Final = b"\x08\x01"
"""Field 1, a varint, true."""

_OPTIONS: Final = (("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1))


async def check_all(endpoints: Sequence[InferenceEndpoint]) -> list[EndpointStatus]:
    """Check all endpoints at once, and return the status of each."""
    errors = await asyncio.gather(*(check(endpoint.address) for endpoint in endpoints))
    return [
        EndpointStatus(name=endpoint.name, address=endpoint.address, ready=not error, message=error)
        for endpoint, error in zip(endpoints, errors, strict=True)
    ]


async def check(address: str) -> str:
    """Return why an endpoint could not work; empty when it could.

    Parameters
    ----------
    address
        `host:port` of Triton's gRPC.
    """
    host, _, port = address.rpartition(":")
    try:
        async with asyncio.timeout(DEADLINE_S):
            await asyncio.get_running_loop().getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
            return await _check_triton(address)
    except (OSError, UnicodeError, ValueError) as error:
        if isinstance(error, TimeoutError):
            return f"it did not answer within {DEADLINE_S:g} s"
        cause = getattr(error, "strerror", None) or error
        return f"the name {host} cannot be resolved ({cause}); check spec.inference.endpoints and the DNS"
    except grpc.RpcError as error:
        return _message(error)


async def _check_triton(address: str) -> str:
    async with grpc.aio.insecure_channel(address, options=_OPTIONS) as channel:
        if not await _is_true(channel, "ServerReady", b""):
            return "the server runs and is not ready; it is loading its models, or one of them failed to load"
        for model in (model for info in ANALYSES.values() for model in info.models):
            name = model.encode()
            if not await _is_true(channel, "ModelReady", b"\x0a" + bytes([len(name)]) + name):
                return f"the server is ready, but does not serve the model {model}; export it with vigil-models"
    return ""


async def _is_true(channel: grpc.aio.Channel, method: str, request: bytes) -> bool:
    response: bytes = await channel.unary_unary(_SERVICE + method)(request, timeout=DEADLINE_S)
    return response.startswith(_TRUE)


def _message(error: grpc.RpcError) -> str:
    code = error.code() if hasattr(error, "code") else None
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return f"it did not answer within {DEADLINE_S:g} s"
    if code is grpc.StatusCode.UNAVAILABLE:
        return "nothing answers at this address; check that Triton runs and that the port is its gRPC port (8001)"
    return f"the response is not Triton's ({code.name if code else type(error).__name__})"
