"""User, password and tokens of a camera, read from files as Kubernetes mounts a Secret; never shown."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

from vigil_contracts.conditions import SourceReason
from vigil_contracts.resources.source import LOGIN_KEYS, CameraSource
from vigil_stream.capture.errors import SourceError

Login = tuple[str, str]
"""User and password."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """The values of a camera's Secret.

    Attributes
    ----------
    placed
        Those that the URL names as `{key}`.
    login
        User and password; None when the URL names them, or when there are none.
    """

    placed: Mapping[str, str] = field(repr=False)
    login: Login | None = field(repr=False)

    def placed_in(self, url: str) -> str:
        """Return a URL in which each `{key}` is replaced by its value, quoted."""
        for key, value in self.placed.items():
            url = url.replace(f"{{{key}}}", quote(value, safe=""))
        return url

    def in_url(self, url: str) -> str:
        """Return a URL that holds all values, quoted, for FFmpeg, which answers Basic and Digest with the login."""
        return self.with_login(self.placed_in(url))

    def with_login(self, url: str) -> str:
        """Return a URL that holds the login, quoted."""
        parts = urlsplit(url)
        if self.login is None:
            return parts.geturl()
        return parts._replace(netloc=f"{':'.join(quote(one, safe='') for one in self.login)}@{parts.netloc}").geturl()


def read(folder: Path, source: CameraSource) -> Credentials:
    """Return what a source uses of its Secret; read at every attempt, because Secrets change.

    Parameters
    ----------
    folder
        With a file for each key.

    Raises
    ------
    SourceError
        A file is missing or cannot be read; the message names it.
    """
    placed = {key: _value(folder, key) for key in source.placed_keys}
    if placed and (placed.keys() & set(LOGIN_KEYS) or not all((folder / key).exists() for key in LOGIN_KEYS)):
        return Credentials(placed, None)
    username, password = (_value(folder, key) for key in LOGIN_KEYS)
    return Credentials(placed, (username, password))


def held(folder: Path | None, source: CameraSource) -> Credentials | None:
    """Return what `read` returns; None when the source has no Secret, or when it cannot be read now."""
    try:
        return read(folder, source) if folder is not None else None
    except SourceError:
        return None


def _value(folder: Path, key: str) -> str:
    try:
        return (folder / key).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        what = f"the key `{key}` of the camera's Secret cannot be read ({type(error).__name__})"
        message = f"{what}; check credentialsSecretRef"
        raise SourceError(SourceReason.UNAUTHORIZED, message) from None
