"""Errors of the registry, by what they mean for the caller.

RegistryError
├── RegistryAwayError      not reached, no response in time, 5xx, 408, 409, 425, 429: the same request may work later
├── RegistryDeniedError    401, 403: the tokens of the client and of identity differ
└── RegistryRefusedError   other 4xx: the request can never succeed
"""


class RegistryError(Exception):
    """The registry did not do what was requested; the text is the reason.

    Attributes
    ----------
    retry_after_s
        Seconds after which the registry wants the request again; None: it named none.
    """

    retry_after_s: float | None = None


class RegistryAwayError(RegistryError):
    """Another attempt may succeed."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RegistryDeniedError(RegistryError):
    """Both programs need the same token."""


class RegistryRefusedError(RegistryError):
    """The request itself is wrong."""
