"""What the registry may answer instead of doing what was asked, by what it means for the caller.

RegistryError
├── RegistryAwayError      not reached, no answer in time, 5xx, 429: the same request may work later
├── RegistryDeniedError    401, 403: the tokens of operator and identity differ
└── RegistryRefusedError   other 4xx: what was sent can never be right
"""


class RegistryError(Exception):
    """The registry did not do what was asked; the text says why."""

    retry_after_s: float | None = None


class RegistryAwayError(RegistryError):
    """Trying again may cure it."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RegistryDeniedError(RegistryError):
    """A person has to give both programs the same token."""


class RegistryRefusedError(RegistryError):
    """The request itself is wrong."""
