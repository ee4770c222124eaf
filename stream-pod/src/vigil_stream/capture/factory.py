"""Makes the `Source` of a Camera from its spec."""

import threading
from dataclasses import replace
from pathlib import Path

from vigil_contracts.addresses import shown_address
from vigil_contracts.resources.camera import CameraSource, Decode, SourceType, Transport
from vigil_stream.capture import credentials as secrets
from vigil_stream.capture.container import ContainerSource, Plan
from vigil_stream.capture.http_source import HttpSource
from vigil_stream.capture.jpeg_sources import SocketSource, WebSocketSource
from vigil_stream.capture.liveness import Liveness
from vigil_stream.capture.source import RESPONSE_DEADLINE_S, Source, Watchdog


def _microseconds(seconds: float) -> str:
    return str(int(seconds * 1_000_000))


_PROBING = {"analyzeduration": _microseconds(2), "probesize": str(1 << 20), "fpsprobesize": "0"}
"""Probe a live stream only as long as its codec and size need: FFmpeg's own 5 s are for its frame rate, which is not
needed here."""


_HTTP = "http,https,httpproxy,tcp,tls"
_FORMATS = (
    "h264,hevc,vvc,obu,m4v,mpegvideo,mjpeg,mpjpeg,mpeg,mpegts,mov,matroska,flv,avi,ogg,asf,nut,jpeg_pipe,png_pipe"
)
"""Protocols and formats of video over HTTP. Playlists and session descriptions (HLS, DASH, SDP, concat) are none of
them: they lead to other addresses. Redirections were followed before FFmpeg is asked."""

_NOTICED_LOSS = {"reorder_queue_size": "2"}
"""Cameras drop RTP packets over TCP too when it is slow. FFmpeg looks at their numbers only with a queue, which it
leaves out over TCP; it delays nothing unless a number is missing."""


def make_source(
    source: CameraSource,
    decode: Decode,
    *,
    folder: Path,
    credentials_folder: Path | None,
    watchdog: Watchdog,
    stop: threading.Event,
    liveness: Liveness | None = None,
) -> Source:
    """Make the source that a Camera describes, ready to be opened.

    Parameters
    ----------
    folder
        Where a relative `file:` starts.
    credentials_folder
        With a file for each key of the camera's Secret; None when the camera needs none.
    liveness
        The limit for silence, learned from earlier sessions of the camera; None: this is the first.

    Raises
    ------
    SourceError
        The credentials cannot be read.
    """
    credentials = secrets.read(credentials_folder, source) if credentials_folder is not None else None
    liveness = liveness or Liveness(source.stall_timeout_seconds)
    if source.type is SourceType.WEB_SOCKET:
        return WebSocketSource(source.url, credentials, watchdog, liveness)
    if source.type is SourceType.SOCKET:
        return SocketSource(source.url, watchdog, liveness)
    url = credentials.in_url(source.url) if credentials is not None else source.url
    plan = _plan(source, decode, url, folder, liveness.limit_s)
    plan = replace(plan, has_credentials=source.credentials_secret_ref is not None)

    def container(address: str) -> ContainerSource:
        return ContainerSource(replace(plan, url=address), watchdog, stop, liveness)

    if source.type is SourceType.HTTP_MJPEG:
        return HttpSource(
            source.url,
            credentials,
            watchdog,
            stop,
            liveness,
            accelerator=decode.accelerator,
            other=container,
        )
    return container(plan.url)


def _plan(source: CameraSource, decode: Decode, url: str, folder: Path, stall_s: float) -> Plan:
    accelerator, shown = decode.accelerator, shown_address(source.url)
    if source.type is SourceType.FILE:
        path = folder / source.url.removeprefix("file:").removeprefix("//")
        options = {"protocol_whitelist": "file"}
        return Plan(str(path), shown, options=options, paced=True, loop=source.loop, accelerator=accelerator)
    if source.type is SourceType.USB:
        return Plan(url, shown, "video4linux2", accelerator=accelerator)
    # `timeout` is FFmpeg's name since 5.0; the older `stimeout` would be ignored silently and hang.
    if source.type is SourceType.HTTP_MJPEG:
        options = {
            "timeout": _microseconds(stall_s),
            "protocol_whitelist": _HTTP,
            "max_redirects": "0",
            "format_whitelist": _FORMATS,
            **_PROBING,
        }
        return Plan(url, shown, options=options, accelerator=accelerator)
    over_udp = source.transport is Transport.UDP
    options = {
        **({} if over_udp else _NOTICED_LOSS),
        "protocol_whitelist": "rtsp,rtp,udp,tcp,tls",
        "rtsp_transport": "udp" if over_udp else "tcp",
        "allowed_media_types": "video",
        "timeout": _microseconds(RESPONSE_DEADLINE_S),
        **_PROBING,
    }
    return Plan(url, shown, options=options, accelerator=accelerator, over_udp=over_udp, resumes=True)
