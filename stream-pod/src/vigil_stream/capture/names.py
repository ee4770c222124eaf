"""Name resolution of a source's host before it is opened, with a deadline.

FFmpeg waits for name servers without a deadline, and reports an unknown name as an input/output error.
"""

import os
import socket
import threading
from urllib.parse import urlsplit

from vigil_contracts.addresses import shown_address
from vigil_contracts.conditions import SourceReason
from vigil_stream.capture.errors import SourceError

_THROUGH_A_PROXY = frozenset({"http", "https", "ws", "wss"})
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


def resolve(url: str, deadline_s: float) -> None:
    """Check that the host of a source can be resolved.

    Parameters
    ----------
    url
        The address of the source; shown without its secrets.
    deadline_s
        For the response of the name servers.

    Raises
    ------
    SourceError
        The name has no address, or no name server responded in time.
    """
    host = _host_to_resolve(url)
    if host is None:
        return
    _, error = addresses(host, deadline_s)
    if error:
        message = (
            f"the host name {host} of {shown_address(url)} cannot be resolved ({error}); check the host in source.url, "
            "and DNS where the stream runs"
        )
        raise SourceError(SourceReason.UNREACHABLE, message)


def addresses(host: str, deadline_s: float) -> tuple[list[str], str]:
    """Return the addresses of a host; none, and why, when it has none or when no name server responds in time."""
    found: list[tuple[list[str], str]] = []

    def ask() -> None:
        try:
            infos = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            found.append(([str(info[4][0]) for info in infos], ""))
        except (OSError, UnicodeError) as error:
            # UnicodeError: a label that is empty or longer than 63 characters.
            found.append(([], getattr(error, "strerror", None) or "it is not a host name"))

    # A thread that is abandoned after the deadline: it cannot be interrupted, and ends when the resolver does.
    asking = threading.Thread(target=ask, name="resolve", daemon=True)
    asking.start()
    asking.join(deadline_s)
    return found[0] if found else ([], f"no name server answered within {deadline_s:g} s")


def _host_to_resolve(url: str) -> str | None:
    """Return the host; None where there is none, or where a proxy resolves it."""
    if "://" not in url:
        return None
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        # Opening it reports the fault.
        return None
    proxied = any(os.environ.get(name) or os.environ.get(name.upper()) for name in _PROXIES)
    return None if proxied and parts.scheme in _THROUGH_A_PROXY else host
