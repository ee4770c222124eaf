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
from typing import Final

import httpx2
from lightkube import ApiError


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
    """Give the error that an exception of the client means."""
    if isinstance(error, ApiError):
        return _of_status(error)
    if isinstance(error, httpx2.HTTPStatusError):
        return _of_code(error.response.status_code, f"HTTP {error.response.status_code}", None)
    if isinstance(error, httpx2.HTTPError | OSError | TimeoutError | json.JSONDecodeError):
        return AwayError(f"the API server cannot be reached: {type(error).__name__}: {error}".rstrip(": "))
    return AwayError(f"the API server's answer was not understood: {type(error).__name__}: {error}")


def _of_status(error: ApiError) -> KubeError:
    status = error.status
    details = status.details
    if status.code == 409:
        causes = (details.causes if details else None) or []
        told = tuple(f"{cause.field}: {cause.message}" for cause in causes if cause.field)
        return ConflictError(status.message or "conflict", told)
    if status.code == 404:
        return NotFoundError(status.message or "not found", (details.name if details else None) or "")
    after = getattr(details, "retryAfterSeconds", None) if details else None
    return _of_code(status.code or 500, status.message or status.reason or "no message", after)


def _of_code(code: int, message: str, retry_after_s: float | None) -> KubeError:
    kind = _BY_CODE.get(code)
    if kind is None:
        return AwayError(f"{message} ({code})", retry_after_s)
    return kind(message)
