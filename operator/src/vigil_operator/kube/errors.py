"""What the API server may answer instead of doing what was asked, by what it means for the caller.

KubeError
├── AwayError        not reached, 5xx, 429: try again with growing pauses
├── NotFoundError    404: it is gone, or its kind is
├── ConflictError    409: somebody else owns the field, or the object is another one by now
├── DeniedError      401, 403: a person has to grant it
├── InvalidError     400, 422: what was sent can never be right
└── GoneError        410: the place in the watch is too old; list again
"""

import json
from typing import Any, Final

import aiohttp
from kubernetes.aio.client import ApiException


class KubeError(Exception):
    """The API server did not do what was asked; the text is its own message."""

    retry_after_s: float | None = None


class AwayError(KubeError):
    """Trying again may cure it."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class NotFoundError(KubeError):
    """There is no such object, or no such kind.

    Attributes
    ----------
    name
        Of the object that the API server looked for; empty when it serves no such kind.
    """

    def __init__(self, message: str, name: str = "") -> None:
        super().__init__(message)
        self.name = name


class ConflictError(KubeError):
    """Somebody else's change, or somebody else's field.

    Attributes
    ----------
    fields
        What other field managers own, as the API server says it.
    """

    def __init__(self, message: str, fields: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.fields = fields


class DeniedError(KubeError):
    """The operator's account may not do that."""


class InvalidError(KubeError):
    """The API server refuses the object itself."""


class GoneError(KubeError):
    """The resource version is too old to go on from."""


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
    if isinstance(error, ApiException):
        try:
            return error_of_status(json.loads(error.body or ""))
        except (ValueError, AttributeError):  # a proxy answered, or the API server knows no such path
            return _of_code(error.status or 500, f"HTTP {error.status}", None)
    if isinstance(error, aiohttp.ClientError | OSError | TimeoutError | json.JSONDecodeError):
        return AwayError(f"the API server cannot be reached: {type(error).__name__}: {error}".rstrip(": "))
    return AwayError(f"the API server's answer was not understood: {type(error).__name__}: {error}")


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
    return _of_code(code, message or status.get("reason") or "no message", details.get("retryAfterSeconds"))


def _of_code(code: int, message: str, retry_after_s: float | None) -> KubeError:
    kind = _BY_CODE.get(code)
    if kind is None:
        return AwayError(f"{message} ({code})", retry_after_s)
    return kind(message)
