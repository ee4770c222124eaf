"""Frames that are analysed though packets were lost, compared with what the camera sent.

    .venv/bin/python -m bench.packet_loss --seconds 60

A camera on this machine sends H.264 over RTSP, and loses each RTP packet with a fixed probability. Capture runs as in
the product. A frame is wrong when it resembles no frame that was sent by more than 38 dB. Nothing is detected or
recognised, so that no figure depends on a model.
"""

import argparse
import contextlib
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
from numpy.typing import NDArray

from bench.h264 import encode
from bench.rtp import fragments, read_head
from vigil_contracts.resources.camera import CameraSource, Decode
from vigil_stream.capture import Sampler, Watchdog, make_source
from vigil_stream.capture.source import Source

FPS: Final = 12
GOP: Final = 24
COUNT: Final = 4 * GOP
WIDTH, HEIGHT = 640, 360
WRONG_DB: Final = 38.0
LOSSES: Final = (0.001, 0.01, 0.05)

_X264: Final = (
    f"repeat-headers=1:keyint={GOP}:min-keyint={GOP}:scenecut=0:sliced-threads=0:bitrate=2000:vbv-maxrate=2000:"
    "vbv-bufsize=2000"
)
STREAMS: Final = {
    "keyframes, TCP": ("TCP", "zerolatency", _X264),
    "keyframes, UDP": ("UDP", "zerolatency", _X264),
    "B-frames, TCP": ("TCP", "", f"{_X264}:bframes=2:b-adapt=0:rc-lookahead=4"),
    "gradual refresh, TCP": ("TCP", "zerolatency", _X264.replace(f":min-keyint={GOP}", "") + ":intra-refresh=1"),
}
HEAD: Final = """
| stream | packets lost | frames hit | damage noticed | left out | analysed | wrongly analysed |
| --- | --- | --- | --- | --- | --- | --- |"""

Image = NDArray[np.uint8]


def images() -> Iterator[Image]:
    """Yield a moving pattern with a sensor's noise."""
    noise = np.random.default_rng(3)
    pattern = noise.integers(40, 200, (HEIGHT // 10, WIDTH // 10), np.uint8).repeat(10, axis=0).repeat(10, axis=1)
    for n in range(COUNT):
        image = np.roll(pattern, 6 * n, axis=1) // 2 + noise.integers(0, 12, (HEIGHT, WIDTH), np.uint8)
        yield image[..., None].repeat(3, axis=2)


def encoded(tune: str, parameters: str) -> list[list[bytes]]:
    """Return the access units of the film."""
    return encode(images(), FPS, {"preset": "veryfast", "x264-params": parameters, **({"tune": tune} if tune else {})})


def decoded(units: list[list[bytes]]) -> Image:
    """Return the luma [n,h,w] of what was sent, a sixteenth of its size."""
    codec: Any = av.CodecContext.create("h264", "r")
    packets = [av.Packet(b"".join(b"\0\0\0\1" + unit for unit in one)) for one in units]
    return np.stack([small(frame) for packet in [*packets, None] for frame in codec.decode(packet)])


def small(frame: av.VideoFrame) -> Image:
    """Return the luma of a frame at a sixteenth of its size."""
    luma: Any = frame.to_ndarray(format="gray")
    cut: Image = luma[::4, ::4]
    return cut


@dataclass
class LossyCamera:
    """An RTSP server (RFC 2326) that loses packets of its H.264 (RFC 6184)."""

    units: list[list[bytes]]
    loss: float
    sent: int = 0
    lost: int = 0
    hit: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._random = random.Random(round(self.loss * 1000))  # noqa: S311 - it is no secret
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._stopped = threading.Event()
        self.url = f"rtsp://127.0.0.1:{self._listener.getsockname()[1]}/cam"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Send no more."""
        self._stopped.set()
        self._listener.close()

    def _serve(self) -> None:
        while not self._stopped.is_set():
            with contextlib.suppress(OSError, ValueError):
                connection, _ = self._listener.accept()
                with connection:
                    self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        send: Callable[[bytes], object] = bytes
        while request := read_head(connection):
            lines = request.split("\r\n")
            method, headers = lines[0].split(" ")[0], dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
            extra, body = "", ""
            if method == "DESCRIBE":
                body = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=c\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=control:t\r\n"
                body += "a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\n"
                extra = f"Content-Type: application/sdp\r\nContent-Base: {self.url}/\r\n"
            elif method == "SETUP":
                transport = headers["Transport"]
                send = _sender(connection, transport)
                port = "" if "TCP" in transport else ";server_port=6970-6971"
                extra = f"Transport: {transport}{port}\r\nSession: 1;timeout=60\r\n"
            head = f"RTSP/1.0 200 OK\r\nCSeq: {headers['CSeq']}\r\n{extra}Content-Length: {len(body)}\r\n\r\n{body}"
            connection.sendall(head.encode())
            if method == "PLAY":
                self._play(send)
                return

    def _play(self, send: Callable[[bytes], object]) -> None:
        number, started = 0, time.monotonic()
        for n in range(1_000_000):
            payloads = [part for unit in self.units[n % COUNT] for part in fragments(unit)]
            for index, payload in enumerate(payloads):
                last = 0x80 if index == len(payloads) - 1 else 0
                header = struct.pack(">BBHII", 0x80, last | 96, number & 0xFFFF, n * 90000 // FPS, 7)
                number += 1
                self.sent += 1
                # The first keyframe arrives, so that every run begins alike.
                if n and self._random.random() < self.loss:
                    self.lost += 1
                    self.hit.add(n)
                else:
                    send(header + payload)
            if self._stopped.wait(max(started + n / FPS - time.monotonic(), 0)):
                return


def _sender(connection: socket.socket, transport: str) -> Callable[[bytes], object]:
    if "TCP" in transport:
        return lambda packet: connection.sendall(b"$\0" + struct.pack(">H", len(packet)) + packet)
    port = int(transport.split("client_port=")[1].split("-", maxsplit=1)[0])
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    return lambda packet: out.sendto(packet, ("127.0.0.1", port))


@dataclass
class Run:
    """What capture made of one lossy camera."""

    sampler: Sampler = field(default_factory=lambda: Sampler(2 * FPS))
    analysed: int = 0
    wrong: int = 0

    def watch(self, source: Source, clean: Image, stop: threading.Event) -> None:
        """Compare each frame that counts with all that were sent."""
        with contextlib.suppress(Exception):  # the end of the run ends the connection
            source.open()
            for frame in source.frames(self.sampler):
                if stop.is_set():
                    return
                self.analysed += 1
                error = ((clean.astype(np.float32) - small(frame)) ** 2).mean(axis=(1, 2)).min()
                self.wrong += 10 * np.log10(255**2 / max(error, 1e-3)) < WRONG_DB


def measure(name: str, seconds: float) -> None:
    """Run one stream at every loss, side by side, and print a row for each."""
    transport, tune, parameters = STREAMS[name]
    units = encoded(tune, parameters)
    clean, stop, rows = decoded(units), threading.Event(), []
    for loss in LOSSES:
        camera, run = LossyCamera(units, loss), Run()
        spec = CameraSource.model_validate({"type": "RTSP", "url": camera.url, "transport": transport})
        source = make_source(spec, Decode(), folder=Path(), credentials_folder=None, watchdog=Watchdog(), stop=stop)
        thread = threading.Thread(target=run.watch, args=(source, clean, stop), daemon=True)
        thread.start()
        rows.append((camera, run, thread))
    time.sleep(seconds)
    stop.set()
    for camera, run, thread in rows:
        camera.close()
        thread.join(10)
        sampler = run.sampler
        cells = (
            name,
            f"{camera.lost} of {camera.sent} ({camera.loss:.1%})",
            len(camera.hit),
            sampler.corrupt,
            getattr(sampler, "left_out", "not counted"),
            run.analysed,
            run.wrong,
        )
        print("|", " | ".join(map(str, cells)), "|", flush=True)


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=float, default=60.0, help="how long each stream runs (60)")
    seconds = options.parse_args().seconds
    print(HEAD)
    for name in STREAMS:
        measure(name, seconds)


if __name__ == "__main__":
    main()
