"""The kind of login that an RTSP camera asks for, which FFmpeg does not report.

FFmpeg answers Basic, and Digest with MD5 (RFC 2069, RFC 2617); of several Digests it takes the last. It leaves the
login out where the camera asks for another algorithm (RFC 7616), which looks like a wrong password.
"""

import contextlib
import re
import socket
import ssl
import time
from urllib.parse import SplitResult, urlsplit

from vigil_contracts.conditions import SourceReason
from vigil_stream.capture.errors import SourceError

DEADLINE_S = 3.0

_ANSWERED = frozenset({"MD5", "MD5-sess"})
"""As FFmpeg compares them: upper and lower case differ."""

_MAX_BYTES = 1 << 14
_ALGORITHM = re.compile(r'(?i)\balgorithm\s*=\s*"?([A-Za-z0-9-]{1,20})')
_PORTS = {"rtsp": 554, "rtsps": 322}


def unsupported(url: str, shown: str) -> SourceError | None:
    """Return the error of a camera whose challenge FFmpeg cannot answer; None: it can, or the camera does not respond.

    Parameters
    ----------
    url
        The address of the source.
    shown
        The same for messages.
    """
    found = [one for one in _challenges(url) if one.lower().startswith("digest")]
    match = _ALGORITHM.search(found[-1]) if found else None
    if match is None or match[1] in _ANSWERED:
        return None
    message = (
        f"{shown} asks for Digest authentication with {match[1]}, which the decoder does not have, so no login was "
        "sent; set the camera's RTSP authentication to Digest with MD5 alone"
    )
    return SourceError(SourceReason.LOGIN_UNSUPPORTED, message)


def _challenges(url: str) -> list[str]:
    """Return the values of WWW-Authenticate of the response to a request without a login."""
    parts = urlsplit(url)
    with contextlib.suppress(OSError, ValueError), _connected(parts) as connection:
        address = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        connection.sendall(f"DESCRIBE {address} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n\r\n".encode())
        head, deadline = b"", time.monotonic() + DEADLINE_S
        while b"\r\n\r\n" not in head and len(head) < _MAX_BYTES and time.monotonic() < deadline:
            if not (data := connection.recv(_MAX_BYTES)):
                break
            head += data
        lines = (line.partition(":") for line in head.decode("latin-1").split("\r\n"))
        return [value.strip() for name, _, value in lines if name.strip().lower() == "www-authenticate"]
    return []


def _connected(parts: SplitResult) -> socket.socket:
    host, port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 554)
    connection = socket.create_connection((host, port), DEADLINE_S)
    if parts.scheme != "rtsps":
        return connection
    # Cameras have certificates that they signed themselves; FFmpeg does not check them either.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(connection, server_hostname=host)
