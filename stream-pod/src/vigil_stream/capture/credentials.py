"""User and password of a camera, read from files as Kubernetes mounts a Secret; never shown."""

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

from vigil_contracts.conditions import SourceReason
from vigil_stream.capture.errors import SourceError


@dataclass(frozen=True, slots=True)
class Credentials:
    """User name and password of a camera."""

    username: str = field(repr=False)
    password: str = field(repr=False)

    def in_url(self, url: str) -> str:
        """Return a URL that holds both, quoted, for FFmpeg, which answers Basic and Digest with them."""
        parts = urlsplit(url)
        netloc = f"{quote(self.username, safe='')}:{quote(self.password, safe='')}@{parts.netloc}"
        return parts._replace(netloc=netloc).geturl()


def read(folder: Path) -> Credentials:
    """Return the contents of `username` and `password`; read at every attempt, because Secrets change.

    Raises
    ------
    SourceError
        A file is missing or cannot be read; the message names it.
    """
    found = []
    for name in ("username", "password"):
        try:
            found.append((folder / name).read_text(encoding="utf-8").rstrip("\r\n"))
        except (OSError, UnicodeDecodeError) as error:
            message = (
                f"the key `{name}` of the camera's Secret cannot be read ({type(error).__name__}); "
                "check credentialsSecretRef"
            )
            raise SourceError(SourceReason.UNAUTHORIZED, message) from None
    return Credentials(*found)
