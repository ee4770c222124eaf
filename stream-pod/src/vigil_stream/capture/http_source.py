"""JPEGs over HTTP: one response that holds many (MJPEG), or an address that returns one image for each request.

The responses of an address show which of them it is: one that ends after its first JPEG is a snapshot, and is requested
again at the sampling rate. FFmpeg reads the responses that hold no JPEG.
"""

import http.client
import threading
import time
from collections.abc import Callable, Iterator

import av

from vigil_contracts.addresses import shown_address
from vigil_contracts.conditions import SourceReason
from vigil_contracts.resources.camera import Accelerator
from vigil_stream.capture import errors, hardware, names, redirects, refusals
from vigil_stream.capture.credentials import Credentials
from vigil_stream.capture.errors import SourceError
from vigil_stream.capture.frozen import FrozenDetector
from vigil_stream.capture.http_client import HttpClient, Response, as_source_error
from vigil_stream.capture.jpeg import JpegDecoder, jpeg_fingerprint
from vigil_stream.capture.jpeg_scanner import JpegScanner
from vigil_stream.capture.liveness import Liveness
from vigil_stream.capture.source import OPEN_DEADLINE_S, Sampler, Source, SourceInfo, Watchdog

MAX_BEFORE_A_JPEG = 1 << 20
"""Bytes without a JPEG after which an address sends something else."""

MAX_WAIT_S = 60.0
"""The longest wait between two requests of a camera that is asked too often."""

_MAX_HEADERS = 1 << 10
"""Bytes that may stand before the first JPEG; more are something else."""

_PIECE = 1 << 16
_FOR_FFMPEG = ("video/", "audio/")
_PLAYLISTS = frozenset({f"{kind}/{name}" for kind in ("application", "audio") for name in ("x-mpegurl", "mpegurl")}) | {
    "application/vnd.apple.mpegurl",
    "application/dash+xml",
}
_PAGES = ("text/html", "application/json", "application/xhtml+xml", "text/xml", "application/xml")
_WAITS = frozenset({429, 503})


class HttpSource:
    """JPEGs over HTTP.

    Parameters
    ----------
    url
        http:// or https://, without credentials.
    credentials
        The login is for Basic or Digest authentication, whichever the camera asks for.
    watchdog
        Armed before every call that may hang.
    stop
        Ends the wait for the next request.
    liveness
        How long the camera may be silent.
    accelerator
        As in the spec of the Camera.
    other
        Makes the source that reads responses without a JPEG, from the address with the login of which they came.
    """

    def __init__(
        self,
        url: str,
        credentials: Credentials | None,
        watchdog: Watchdog,
        stop: threading.Event,
        liveness: Liveness,
        *,
        accelerator: Accelerator = Accelerator.AUTO,
        other: Callable[[str], Source],
    ) -> None:
        self._target = credentials.placed_in(url) if credentials is not None else url
        self._shown = shown_address(url)
        self._credentials = credentials
        self._watchdog = watchdog
        self._stop = stop
        self._liveness = liveness
        self._accelerator = accelerator
        self._make_other = other
        self._client = HttpClient(self._target, self._shown, credentials.login if credentials is not None else None)
        self._decoder: JpegDecoder | None = None
        self._scanner = JpegScanner()
        self._response: Response | None = None
        self._first: list[bytes] = []
        self._other: Source | None = None

    def open(self) -> SourceInfo:
        """Connect and find the first JPEG, or what else is sent; see `Source.open`."""
        accelerator = hardware.choose(self._accelerator)
        self._watchdog.arm(f"resolving the host of {self._shown}", OPEN_DEADLINE_S)
        names.resolve(self._target, OPEN_DEADLINE_S)
        self._watchdog.arm(f"opening {self._shown}", 2 * OPEN_DEADLINE_S)
        try:
            response = self._requested({})
            if response.status != 200:
                raise self._refused(response)
            self._response = response
            if not self._has_jpegs(response):
                return self._open_other()
        finally:
            self._watchdog.disarm()
        self._decoder = JpegDecoder(self._shown, accelerator)
        on_gpu = self._decoder.on_gpu
        if self._accelerator is Accelerator.CUDA and not on_gpu:
            raise errors.not_on_gpu(self._shown)
        return SourceInfo(None, None, "mjpeg", "CUDA" if on_gpu else "CPU")

    def _requested(self, headers: dict[str, str]) -> Response:
        try:
            return self._client.get(headers, OPEN_DEADLINE_S)
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise as_source_error(error, self._shown, OPEN_DEADLINE_S) from None

    def _refused(self, response: Response) -> SourceError:
        return refusals.http_refused(response.status, self._shown, has_credentials=self._credentials is not None)

    def _has_jpegs(self, response: Response) -> bool:
        """Return whether the body is for this class; raise SourceError when it is nothing that could be read."""
        kind = response.content_type
        if kind in _PLAYLISTS:
            raise redirects.no_playlists(self._shown)
        if kind.startswith(_FOR_FFMPEG):
            return False
        if kind.startswith("multipart/") or kind in {"image/jpeg", "image/jpg", "image/pjpeg"}:
            return True
        if kind.startswith("image/"):
            message = f"{self._shown} sends {kind[:40]}; set the camera to JPEG, or take another address as source.url"
            raise SourceError(SourceReason.NOT_A_VIDEO, message)
        self._first = list(self._scanner.feed(self._piece(response, OPEN_DEADLINE_S)))
        if self._first or self._scanner.has_started:
            return True
        if kind in _PAGES:
            message = (
                f"{self._shown} responds with a page ({kind}), not with images; take the address of the camera's MJPEG "
                "stream or snapshot as source.url"
            )
            raise SourceError(SourceReason.NOT_A_VIDEO, message)
        return False

    def _open_other(self) -> SourceInfo:
        address, login = self._client.address, self._credentials if self._client.at_home else None
        self._client.close()
        self._other = self._make_other(login.with_login(address) if login is not None else address)
        return self._other.open()

    def frames(self, sampler: Sampler, frozen: FrozenDetector | None = None) -> Iterator[av.VideoFrame]:
        """Yield the sampled frames; see `Source.frames`."""
        if self._other is not None:
            yield from self._other.frames(sampler, frozen)
            return
        if self._decoder is None:
            msg = "frames() before open()"
            raise TypeError(msg)
        self._liveness.begin(time.monotonic())
        latest, frame = b"", None
        for image in self._images(sampler):
            now = time.monotonic()
            self._liveness.receive(now)
            # An image that has not changed is the frame before: those who stay in view are still there.
            latest, frame = (latest, frame) if image is None else (image, None)
            if frozen is not None:
                frozen.add_encoded(jpeg_fingerprint(latest), now)
            if sampler.offer(now):
                frame = frame or self._decoder.decode(latest, sampler)
                if frame is not None:
                    yield frame

    def _images(self, sampler: Sampler) -> Iterator[bytes | None]:
        """Yield JPEGs; None for one that has not changed since the one before."""
        count = 0
        for image in self._of_one_response(self._response):
            count += 1
            yield image
        if self._response is not None:
            self._response.drop()
        if self._stop.is_set():
            return
        if count != 1:
            what = "ended the stream" if count else "ended its response without a JPEG in it"
            raise SourceError(SourceReason.STOPPED, f"{self._shown} {what}; check the camera")
        yield from self._polled(sampler.period_s)

    def _of_one_response(self, response: Response | None) -> Iterator[bytes]:
        yield from self._first
        self._first = []
        while response is not None and not self._stop.is_set():
            data = self._piece(response, self._liveness.left_s(time.monotonic()))
            if not data:
                if rest := self._scanner.rest():
                    # Without its end; the decoder finds whether more is missing.
                    yield rest
                return
            for image in self._scanner.feed(data):
                yield image
                if response.is_single:
                    return
            if self._scanner.ignored > MAX_BEFORE_A_JPEG:
                raise self._no_jpegs(response)

    def _piece(self, response: Response, timeout_s: float) -> bytes:
        self._watchdog.arm(f"reading {self._shown}", max(timeout_s, 0.0))
        if timeout_s <= 0:
            raise self._stalled(response)
        try:
            return response.read(_PIECE, timeout_s)
        except TimeoutError:
            raise self._stalled(response) from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise errors.while_reading(error, self._shown, self._liveness.limit_s) from None
        finally:
            self._watchdog.disarm()

    def _stalled(self, response: Response) -> SourceError:
        limit_s = self._liveness.end_stalled()
        if self._scanner.ignored > _MAX_HEADERS and not self._liveness.has_received:
            return self._no_jpegs(response)
        return errors.stalled(self._shown, limit_s)

    def _no_jpegs(self, response: Response) -> SourceError:
        kind = response.content_type[:40] or "data"
        message = f"{self._shown} sends {kind} without a JPEG in it; check source.type and url"
        return SourceError(SourceReason.NOT_A_VIDEO, message)

    def _polled(self, period_s: float) -> Iterator[bytes | None]:
        """Request the address again and again, over one connection where the camera allows it."""
        validators = _validators(self._response)
        wait_s, due = period_s, time.monotonic() + period_s
        while not self._stop.wait(max(due - time.monotonic(), 0.0)):
            self._watchdog.arm(f"requesting {self._shown}", 2 * OPEN_DEADLINE_S)
            response = self._requested(validators)
            self._watchdog.disarm()
            due = max(due + wait_s, time.monotonic())
            if response.status in _WAITS:
                # Asked too often: less often from now on.
                wait_s = min(2 * wait_s, MAX_WAIT_S)
                due = time.monotonic() + max(wait_s, _retry_after_s(response))
                response.drop()
                if self._liveness.left_s(time.monotonic()) <= 0:
                    raise self._refused(response)
            elif response.status == 304:
                response.drop()
                yield None
            elif response.status == 200:
                yield self._snapshot(response)
                validators = _validators(response)
            else:
                raise self._refused(response)

    def _snapshot(self, response: Response) -> bytes:
        scanner = JpegScanner()
        deadline = time.monotonic() + self._liveness.limit_s
        while data := self._piece(response, deadline - time.monotonic()):
            for image in scanner.feed(data):
                response.drop()
                return image
        return scanner.rest()

    def close(self) -> None:
        """Close the connection and the decoder."""
        other, self._other = self._other, None
        if other is not None:
            other.close()
        self._client.close()
        self._watchdog.disarm()


def _validators(response: Response | None) -> dict[str, str]:
    """Return the headers by which the camera recognises that its image has not changed (RFC 9110, section 13.1)."""
    if response is None:
        return {}
    pairs = (("If-None-Match", "ETag"), ("If-Modified-Since", "Last-Modified"))
    return {ask: value for ask, name in pairs if (value := response.headers.get(name))}


def _retry_after_s(response: Response) -> float:
    text = (response.headers.get("Retry-After") or "").strip()
    return min(float(text), MAX_WAIT_S) if text.isascii() and text.isdigit() else 0.0
