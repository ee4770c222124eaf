"""Errors of inference, and how they are recognised in what gRPC and Triton report.

InferenceError
├── InferenceUnavailable   no endpoint responds, or none serves a usable model; try later
├── InferenceOverloaded    the servers are up and refuse more work; drop the frame or try later
├── InferenceTimeout       no response within the deadline
└── InferenceRejected      the input does not fit; the same call fails again
"""

import grpc


class InferenceError(Exception):
    """Any failure of an inference call; the message names the endpoint and the cause."""


class InferenceUnavailable(InferenceError):  # noqa: N818 - reads as what it is
    """No endpoint responds, or none serves a usable model."""


class InferenceOverloaded(InferenceError):  # noqa: N818 - reads as what it is
    """The server's queue is full or the request waited too long in it (Triton's REJECT policy)."""


class InferenceTimeout(InferenceError):  # noqa: N818 - reads as what it is
    """No response within the deadline."""


class InferenceRejected(InferenceError):  # noqa: N818 - reads as what it is
    """The input does not fit the model; the same call will fail again."""


class RegionLost(InferenceRejected):
    """The server does not know the shared memory region (any more); handled inside the client."""


class RegionKnown(InferenceRejected):
    """The server has a shared memory region of that name already; handled as `RegionLost`."""


_OVERLOADED = ("exceeds maximum queue size", "timeout expired")
"""Phrases of Triton's dynamic batcher when it rejects; the code is the same as that of a dead server."""


def from_grpc(error: grpc.RpcError, endpoint: str, timeout_s: float) -> InferenceError:
    """Return the error that a failed call means.

    Parameters
    ----------
    error
        As raised by a call.
    endpoint
        For the message.
    timeout_s
        Seconds that the call was allowed to take, for the message.
    """
    code, details = error.code(), error.details() or "no details"
    words = details.lower()
    refused = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.OUT_OF_RANGE, grpc.StatusCode.RESOURCE_EXHAUSTED}
    kind: type[InferenceError] = InferenceUnavailable
    meaning = code.name.lower().replace("_", " ")
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        kind, meaning, details = InferenceTimeout, "no response", f"within {timeout_s:.2f} s"
    elif any(phrase in words for phrase in _OVERLOADED):
        kind, meaning = InferenceOverloaded, "overloaded"
    elif "shared memory region" in words and "already in manager" in words:
        kind, meaning = RegionKnown, "has the frame already"
    elif "shared memory region" in words:
        kind, meaning = RegionLost, "lost the frame"
    elif code in refused:
        kind, meaning = InferenceRejected, "input refused"
    elif code is grpc.StatusCode.UNIMPLEMENTED:
        meaning = "the server is not a Triton gRPC service"
    return kind(f"{endpoint}: {meaning}: {details}")
