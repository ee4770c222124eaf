"""HTTP requests to a camera over one connection that is kept: redirections, authentication, proxies, deadlines.

The standard library's client reads what webcam boards send: heads with bare line feeds, unknown lengths, chunks.
"""

import contextlib
import http.client
import socket
import ssl
import urllib.request
from dataclasses import dataclass
from urllib.parse import SplitResult, urljoin, urlsplit

from vigil_contracts.conditions import SourceReason
from vigil_stream.capture import errors, names, redirects
from vigil_stream.capture.credentials import Login
from vigil_stream.capture.errors import SourceError
from vigil_stream.capture.http_auth import HttpAuth

_REFUSALS = frozenset({401, 403})
_PIECE, _MAX_PIECES = 1 << 14, 8
_DROP_S = 0.2


@dataclass(slots=True)
class Response:
    """The head of a response, and its body to be read.

    Attributes
    ----------
    status
        The status of the last response, after redirections and authentication.
    headers
        Its headers.
    """

    status: int
    headers: http.client.HTTPMessage
    _body: http.client.HTTPResponse
    _socket: socket.socket | None

    @property
    def content_type(self) -> str:
        """The media type in lower case without parameters; empty when there is none."""
        return (self.headers.get("Content-Type") or "").partition(";")[0].strip().lower()

    def read(self, most: int, timeout_s: float) -> bytes:
        """Return the next bytes as they come; empty at the end.

        Raises
        ------
        OSError, http.client.HTTPException
            The connection broke; TimeoutError: nothing came in time.
        """
        if self._socket is not None:
            self._socket.settimeout(max(timeout_s, 0.001))
        return self._body.read1(most)

    @property
    def is_single(self) -> bool:
        """Whether the body is announced as one thing of known length."""
        return "Content-Length" in self.headers and not self.content_type.startswith("multipart/")

    def drop(self) -> None:
        """Read the little that may be left of the body, so that the connection can be kept; else it is made anew.

        A length that is too large, or an endless body, must not be waited for.
        """
        with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
            for _ in range(_MAX_PIECES):
                if not self.read(_PIECE, _DROP_S):
                    break
        self._body.close()


class HttpClient:
    """Requests one address again and again.

    Parameters
    ----------
    url
        With the scheme http or https, without credentials.
    shown
        The same for messages.
    login
        Sent to the host of `url` only, and only when it asks.
    """

    def __init__(self, url: str, shown: str, login: Login | None) -> None:
        self._url = url
        self._shown = shown
        self._host = urlsplit(url).netloc
        self._auth = HttpAuth(login)
        self._connection: http.client.HTTPConnection | None = None
        self._connected_to: tuple[str, str] | None = None
        self._address = url
        self._body: http.client.HTTPResponse | None = None

    def get(self, headers: dict[str, str], timeout_s: float) -> Response:
        """Request the address; after redirections and authentication return the last response.

        Raises
        ------
        SourceError
            The addresses redirect in circles, to where they may not, or to a host that is not known.
        OSError, http.client.HTTPException
            As of the standard library.
        """
        for _ in range(redirects.MAX_REDIRECTS):
            response = self._once(headers, timeout_s)
            if response.status not in _REFUSALS and self.at_home:
                self._auth.accepted()
            location = response.headers.get("Location")
            if response.status in {301, 302, 303, 307, 308} and location:
                response.drop()
                target = urljoin(self._address, location)
                redirects.check(self._address, target, self._shown, timeout_s)
                self._address = target
            elif (
                response.status == 401
                and self.at_home
                and self._auth.challenge(response.headers.get_all("WWW-Authenticate") or [])
            ):
                response.drop()
            else:
                return response
        raise redirects.for_ever(self._shown)

    @property
    def address(self) -> str:
        """The address after redirections."""
        return self._address

    @property
    def at_home(self) -> bool:
        """Whether that address is on the host of `url`, to which the login belongs."""
        return urlsplit(self._address).netloc == self._host

    def _once(self, headers: dict[str, str], timeout_s: float) -> Response:
        """Request once; a kept connection that the server has closed meanwhile is made anew."""
        parts = urlsplit(self._address)
        kept = self._connection is not None and self._connected_to == (parts.scheme, parts.netloc)
        if kept:
            try:
                return self._request(parts, headers, timeout_s)
            except TimeoutError:
                raise
            except (http.client.HTTPException, OSError):
                pass
        self.close()
        if not self.at_home:
            names.resolve(f"{parts.scheme}://{parts.netloc}", timeout_s)
        self._connection = _connection(parts, timeout_s)
        self._connected_to = (parts.scheme, parts.netloc)
        return self._request(parts, headers, timeout_s)

    def _request(self, parts: SplitResult, headers: dict[str, str], timeout_s: float) -> Response:
        connection = self._connection
        if connection is None:
            msg = "a request without a connection"
            raise TypeError(msg)
        target = parts._replace(scheme="", netloc="", fragment="").geturl() or "/"
        target = target if target.startswith("/") else f"/{target}"
        authorization = self._auth.header("GET", target) if self.at_home else None
        own = {"Authorization": authorization} if authorization else {}
        direct = _proxy(parts) is None or parts.scheme == "https"
        if connection.sock is not None:
            connection.sock.settimeout(timeout_s)
        connection.request("GET", target if direct else parts._replace(fragment="").geturl(), headers=headers | own)
        # Taken before the response: its connection lets go of the socket when the server will close it.
        opened = connection.sock
        self._body = body = connection.getresponse()
        return Response(body.status, body.headers, body, opened)

    def close(self) -> None:
        """Close the connection, and the response that is still read."""
        body, self._body = self._body, None
        if body is not None:
            body.close()
        connection, self._connection, self._connected_to = self._connection, None, None
        if connection is not None:
            connection.close()


def _proxy(parts: SplitResult) -> SplitResult | None:
    """Return the proxy of the environment for an address."""
    found = urllib.request.getproxies().get(parts.scheme)
    if not found or urllib.request.proxy_bypass(parts.hostname or ""):
        return None
    return urlsplit(found if "://" in found else f"http://{found}")


def _connection(parts: SplitResult, timeout_s: float) -> http.client.HTTPConnection:
    proxy = _proxy(parts)
    host, port = (proxy or parts).hostname or "", (proxy or parts).port
    if parts.scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=timeout_s)
    # Cameras have certificates that they signed themselves; FFmpeg does not check them either.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    connection = http.client.HTTPSConnection(host, port, timeout=timeout_s, context=context)
    if proxy is not None:
        connection.set_tunnel(parts.hostname or "", parts.port or 443)
    return connection


def as_source_error(error: Exception, shown: str, deadline_s: float) -> SourceError:
    """Return the error of a request that had no response."""
    if isinstance(error, http.client.BadStatusLine) and not isinstance(error, http.client.RemoteDisconnected):
        message = f"{shown} does not answer in HTTP; check source.type, and scheme and port in source.url"
        return SourceError(SourceReason.NOT_A_VIDEO, message)
    if isinstance(error, http.client.HTTPException) and not isinstance(error, ConnectionError):
        message = f"{shown} answers in HTTP that cannot be read ({type(error).__name__}); check source.type and url"
        return SourceError(SourceReason.NOT_A_VIDEO, message)
    if isinstance(error, ssl.SSLError):
        error = ConnectionError(error.errno, f"TLS failed: {error.reason}")
    return errors.while_opening(error, shown, deadline_s)
