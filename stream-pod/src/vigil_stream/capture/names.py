"""Whether a source's host has an address, asked first and with a deadline.

FFmpeg waits for name servers as long as they like, and calls a name that nobody knows an input/output error.
"""

import os
import socket
import threading
from urllib.parse import urlsplit

from vigil_contracts.conditions import SourceReason
from vigil_stream.capture.errors import SourceError

_THROUGH_A_PROXY = frozenset({"http", "https", "ws", "wss"})
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


def resolve(url: str, deadline_s: float) -> None:
    """See to it that the host of a source can be resolved.

    Parameters
    ----------
    url
        Of the source, without credentials.
    deadline_s
        Seconds that it may take.

    Raises
    ------
    SourceError
        The name has no address, or no name server said so in time.
    """
    host = _host_to_resolve(url)
    if host is None:
        return
    found: list[str] = []

    def look() -> None:
        try:
            socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            found.append("")
        except (OSError, UnicodeError) as error:
            # UnicodeError: a label that is empty or longer than 63 characters.
            found.append(getattr(error, "strerror", None) or "it is no host name")

    # Aside, and left to itself after the deadline: it cannot be interrupted, and ends when the resolver gives up.
    looking = threading.Thread(target=look, name="resolve", daemon=True)
    looking.start()
    looking.join(deadline_s)
    trouble = found[0] if found else f"no name server answered within {deadline_s:g} s"
    if trouble:
        told = (
            f"the host name {host} of {url} cannot be resolved ({trouble}); check the host in source.url, "
            "and DNS where the stream runs"
        )
        raise SourceError(SourceReason.UNREACHABLE, told)


def _host_to_resolve(url: str) -> str | None:
    """Give the host; None where there is none, or where a proxy resolves it."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        # Whoever opens it says what is wrong with it.
        return None
    proxied = any(os.environ.get(name) or os.environ.get(name.upper()) for name in _PROXIES)
    return None if proxied and parts.scheme in _THROUGH_A_PROXY else host
