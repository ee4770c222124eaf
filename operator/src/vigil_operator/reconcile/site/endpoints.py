"""Ask a Site's inference endpoints whether they could work now: the name, the port, the server, its two models.

The two calls of Triton's protocol that this takes have a boolean for an answer, so they are read and written here byte
by byte instead of bringing protobuf and its generated code into the operator.
"""

import asyncio
import socket
from collections.abc import Sequence
from typing import Final

import grpc

from vigil_contracts.resources.site import EndpointStatus, InferenceEndpoint

MODELS: Final = ("face_detection", "face_recognition")
DEADLINE_S: Final = 3.0
"""For one endpoint, all questions together."""

_SERVICE: Final = "/inference.GRPCInferenceService/"
_YES: Final = b"\x08\x01"
"""Field 1, a varint, true."""

_OPTIONS: Final = (("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1))


async def ask_all(endpoints: Sequence[InferenceEndpoint]) -> list[EndpointStatus]:
    """Ask all endpoints at once, and tell of each whether it could work."""
    troubles = await asyncio.gather(*(ask(endpoint.address) for endpoint in endpoints))
    return [
        EndpointStatus(name=endpoint.name, address=endpoint.address, ready=not trouble, message=trouble)
        for endpoint, trouble in zip(endpoints, troubles, strict=True)
    ]


async def ask(address: str) -> str:
    """Say why an endpoint could not work; empty when it could.

    Parameters
    ----------
    address
        `host:port` of Triton's gRPC.
    """
    host, _, port = address.rpartition(":")
    try:
        async with asyncio.timeout(DEADLINE_S):
            await asyncio.get_running_loop().getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
            return await _ask_triton(address)
    except (OSError, UnicodeError, ValueError) as error:
        if isinstance(error, TimeoutError):
            return f"it did not answer within {DEADLINE_S:g} s"
        return f"the name {host} cannot be resolved: {getattr(error, 'strerror', None) or error}"
    except grpc.RpcError as error:
        return _told(error)


async def _ask_triton(address: str) -> str:
    async with grpc.aio.insecure_channel(address, options=_OPTIONS) as channel:
        if not await _yes(channel, "ServerReady", b""):
            return "the server is there and not ready; it is loading its models, or one of them failed to load"
        for model in MODELS:
            name = model.encode()
            if not await _yes(channel, "ModelReady", b"\x0a" + bytes([len(name)]) + name):
                return f"the server is ready, but does not serve the model {model}; export it with vigil-models"
    return ""


async def _yes(channel: grpc.aio.Channel, method: str, request: bytes) -> bool:
    answer: bytes = await channel.unary_unary(_SERVICE + method)(request, timeout=DEADLINE_S)
    return answer.startswith(_YES)


def _told(error: grpc.RpcError) -> str:
    code = error.code() if hasattr(error, "code") else None
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return f"it did not answer within {DEADLINE_S:g} s"
    if code is grpc.StatusCode.UNAVAILABLE:
        return "nothing answers there; is Triton running, and is the port its gRPC port (8001)?"
    return f"it answers, but not as Triton does ({code.name if code else type(error).__name__})"
