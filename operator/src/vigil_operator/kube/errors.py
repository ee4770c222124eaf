"""Errors of requests to the API server, by what they mean for the caller.

KubeError
├── AwayError        not reached, 5xx, 429: try again with backoff
├── NotFoundError    404: the object or its kind is gone
├── ConflictError    409: another manager owns the field, or the object was replaced
├── DeniedError      401, 403: a person has to grant the permission
├── InvalidError     400, 413, 422: the request can never succeed
└── GoneError        410: the resource version of the watch is too old; list again
"""

import json
from typing import Any, Final

import aiohttp

FORBIDDEN: Final = "; grant the operator's account get, list and watch of it, as the chart's role does"
"""Advice for a list or a watch that is denied."""


UNREACHABLE: Final = "; check that the API server runs and that the operator's network and certificates let it connect"
"""Advice for an API server that does not respond, or not as it should."""

CHECK_PROXY: Final = "check that no proxy responds in its place"


class KubeError(Exception):
    """The API server did not fulfil the request; the text is the message of its response."""

    retry_after_s: float | None = None


class AwayError(KubeError):
    """Another attempt may succeed."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class NotFoundError(KubeError):
    """The object or its kind does not exist.

    Attributes
    ----------
    name
        The name of the missing object; empty when the API server does not serve the kind.
    """

    def __init__(self, message: str, name: str = "") -> None:
        super().__init__(message)
        self.name = name


class ConflictError(KubeError):
    """Another manager owns a field, or the object was changed or replaced meanwhile.

    Attributes
    ----------
    fields
        The fields and their managers, in the words of the API server.
    """

    def __init__(self, message: str, fields: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.fields = fields


class DeniedError(KubeError):
    """The operator's account lacks the permission."""


class InvalidError(KubeError):
    """The API server rejects the object itself."""


class GoneError(KubeError):
    """The resource version is too old to continue from."""


_BY_CODE: Final[dict[int, type[KubeError]]] = {
    400: InvalidError,
    401: DeniedError,
    403: DeniedError,
    404: NotFoundError,
    410: GoneError,
    413: InvalidError,
    422: InvalidError,
}


def translate(error: Exception) -> KubeError:
    """Return the error that an exception of the client means."""
    if isinstance(error, KubeError):
        return error
    if isinstance(error, aiohttp.ClientError | OSError | TimeoutError | json.JSONDecodeError):
        cause = f"{type(error).__name__}: {error}".rstrip(": ")
        return AwayError(f"the API server cannot be reached: {cause}{UNREACHABLE}")
    return AwayError(f"the API server's response cannot be read: {type(error).__name__}: {error}; {CHECK_PROXY}")


def error_of_response(code: int, body: bytes) -> KubeError:
    """Return the error that a response means."""
    try:
        return error_of_status(json.loads(body))
    except (ValueError, AttributeError):  # from a proxy, or the API server knows no such path
        return _of_code(code, f"HTTP {code}; {CHECK_PROXY}", None)


def error_of_status(status: dict[str, Any]) -> KubeError:
    """Return the error that a Status object of the API server means."""
    message, details = status.get("message") or "", status.get("details") or {}
    code = status.get("code") or 500
    if code == 409:
        causes = details.get("causes") or []
        fields = tuple(f"{cause['field']}: {cause.get('message')}" for cause in causes if cause.get("field"))
        return ConflictError(message or "conflict", fields)
    if code == 404:
        return NotFoundError(message or "not found", details.get("name") or "")
    return _of_code(
        code, message or status.get("reason") or "the response has no message", details.get("retryAfterSeconds")
    )


def _of_code(code: int, message: str, retry_after_s: float | None) -> KubeError:
    kind = _BY_CODE.get(code)
    if kind is None:
        return AwayError(f"{message} ({code})", retry_after_s)
    return kind(message)
