"""Refusals of cameras by status, with their remedies: RTSP (RFC 2326, section 7.1.1) and HTTP (RFC 9110).

FFmpeg has no error of its own for most of RTSP's statuses, but logs the method and the status. The log is read while a
source is opened, on the thread that opens it, and nothing of the camera's own text is passed on.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from vigil_contracts.conditions import SourceReason
from vigil_stream.capture import decoder_log, errors
from vigil_stream.capture.errors import SourceError

_REFUSED = SourceReason.REFUSED
_VIEWERS = "close other viewers, or raise the camera's limit of viewers"
_RTSP: dict[int, tuple[SourceReason, str]] = {
    400: (_REFUSED, "it does not accept the request; check the path in source.url, and the camera's firmware"),
    405: (_REFUSED, "it does not allow this; check the path in source.url"),
    406: (_REFUSED, "it has no description of the stream that is understood here; check the path in source.url"),
    408: (_REFUSED, "it gave up waiting; check the network"),
    410: (SourceReason.NOT_FOUND, "the stream is gone; check the path in source.url"),
    415: (_REFUSED, "it has no description of the stream that is understood here; check the path in source.url"),
    429: (_REFUSED, f"it has had too many requests; {_VIEWERS}"),
    453: (_REFUSED, f"it has no bandwidth or session left; {_VIEWERS}"),
    454: (_REFUSED, "it has lost the session; Vigil asks for another one; restart the camera if this stays"),
    455: (_REFUSED, f"it is in no state for it; {_VIEWERS}, and restart it if this stays"),
    459: (_REFUSED, "it has no single address for its streams; take the address of one video stream as source.url"),
    460: (_REFUSED, "it wants its streams together; take the address of the whole presentation as source.url"),
    462: (_REFUSED, "it cannot reach this address; set source.transport to TCP"),
    500: (_REFUSED, "it has an error of its own; restart the camera if this stays"),
    501: (_REFUSED, "it does not know the method; check source.type, and the camera's firmware"),
    503: (_REFUSED, f"it is overloaded or still starting; wait, or {_VIEWERS}"),
    505: (_REFUSED, "it does not know RTSP 1.0; check source.type and the port in source.url"),
    551: (_REFUSED, "it does not support an option that was asked for; check the camera's firmware"),
}
_FAILED = re.compile(r"method ([A-Z_]{1,20}) failed: ([1-5]\d\d)\b")
_REDIRECTING = re.compile(r"Status 3\d\d: Redirecting to (\S+)")
_FORBIDDEN = re.compile(r"Protocol '([a-z0-9+.-]{1,20})' not on whitelist")
_MAX_TEXTS = 1000


@dataclass(frozen=True, slots=True)
class RtspRefusal:
    """The refusal of a request by a camera.

    Attributes
    ----------
    method
        OPTIONS, DESCRIBE, SETUP or PLAY; empty when FFmpeg did not log it.
    status
        The status of the response.
    """

    method: str
    status: int


class ResponseLog:
    """FFmpeg's log of one attempt to open a source.

    Attributes
    ----------
    texts
        The messages. They may hold what is secret.
    """

    def __init__(self) -> None:
        self.texts: list[str] = []

    def refusal(self) -> RtspRefusal | None:
        """Return the last refusal; None when none is logged."""
        found = [match for text in self.texts if (match := _FAILED.search(text))]
        return RtspRefusal(found[-1][1], int(found[-1][2])) if found else None

    def is_forbidden_format(self) -> bool:
        """Return whether the camera sends a format that may not be read."""
        return any("Format not on whitelist" in text for text in self.texts)

    def forbidden_protocol(self) -> str | None:
        """Return the protocol of an address that the camera names and that may not be followed; None: there is none."""
        return next((match[1] for text in self.texts if (match := _FORBIDDEN.search(text))), None)


@contextmanager
def reading_log(redirected: Callable[[str], None]) -> Iterator[ResponseLog]:
    """Read FFmpeg's log of this thread.

    Parameters
    ----------
    redirected
        Called with each address that a camera redirects to, before FFmpeg goes there.
    """
    log = ResponseLog()

    def read(text: str) -> None:
        if len(log.texts) < _MAX_TEXTS:
            log.texts.append(text)
        if (match := _REDIRECTING.search(text)) is not None:
            redirected(match[1])

    with decoder_log.listening(read):
        yield log


def rtsp_refused(refusal: RtspRefusal, shown: str, *, over_udp: bool, has_credentials: bool) -> SourceError:
    """Return the error of a refusal with its remedy.

    Parameters
    ----------
    shown
        The source's URL for messages.
    over_udp
        The transport that was asked for is UDP; else TCP.
    has_credentials
        The Camera names a Secret.
    """
    if refusal.status in {401, 403}:
        return errors.unauthorized(shown, has_credentials=has_credentials)
    if refusal.status == 404:
        return SourceError(SourceReason.NOT_FOUND, errors.NOT_FOUND.format(shown))
    if refusal.status == 461:
        asked, other = ("UDP", "TCP") if over_udp else ("TCP", "UDP")
        remedy = f"it does not send over {asked}; set source.transport to {other}"
        return SourceError(_REFUSED, _message(refusal, shown, remedy))
    known = _RTSP.get(refusal.status)
    reason, remedy = known or (_REFUSED, "check source.type and url, and the log of the camera")
    return SourceError(reason, _message(refusal, shown, remedy))


_HTTP: dict[int, tuple[SourceReason, str]] = {
    404: (SourceReason.NOT_FOUND, "the address does not exist there; check the path in source.url"),
    407: (_REFUSED, "the proxy asks for a password; let the stream reach the camera without it (NO_PROXY)"),
    408: (_REFUSED, "it gave up waiting; check the network"),
    410: (SourceReason.NOT_FOUND, "the address does not exist any more; check the path in source.url"),
    429: (_REFUSED, "it has had too many requests; lower sampling.fps, or close other viewers"),
    500: (_REFUSED, "it has an error of its own; restart the camera if this stays"),
    502: (_REFUSED, "the server before the camera does not reach it; check that server"),
    503: (_REFUSED, f"it is overloaded or still starting; wait, or {_VIEWERS}"),
    504: (_REFUSED, "the server before the camera does not reach it; check that server"),
}


def http_refused(status: int, shown: str, *, has_credentials: bool) -> SourceError:
    """Return the error of a refusal over HTTP with its remedy; parameters as of `rtsp_refused`."""
    if status in {401, 403}:
        return errors.unauthorized(shown, has_credentials=has_credentials)
    reason, remedy = _HTTP.get(status, (_REFUSED, "check source.type and url, and the log of the camera"))
    return SourceError(reason, f"{shown} responds with HTTP status {status}: {remedy}")


def _message(refusal: RtspRefusal, shown: str, remedy: str) -> str:
    what = refusal.method or "the request"
    return f"{shown} refuses {what} with RTSP status {refusal.status}: {remedy}"
