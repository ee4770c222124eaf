"""One hour of healthy cameras that look faulty: visits seen of visits made, and connections made.

    .venv/bin/python -m bench.healthy_cameras --seconds 3600

Four cameras on this machine run in real time, because what matters is how long capture waits: a dark room and a still
room without noise (equal frames, bit for bit), one frame in 10 s, and keyframes 40 s apart that capture joins between.
Every 120 s somebody stays for 12 s (30 s before the slow one). A visit is seen when a frame that shows it passes the
motion gate. Nothing is detected or recognised, so that no figure depends on a model.
"""

import argparse
import base64
import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
from numpy.typing import NDArray

from bench.h264 import encode
from bench.rtp import fragments, read_head
from vigil_contracts.resources.camera import CameraSource, Decode
from vigil_stream.capture import Sampler, Watchdog, make_source
from vigil_stream.capture.loop import CaptureLoop
from vigil_stream.capture.slot import Frame, Slot
from vigil_stream.pipeline.motion import FrameAction, MotionGate

FPS: Final = 10
WIDTH, HEIGHT = 320, 192
CYCLE_S: Final = 120
VISIT_S: Final = (50, 62)
SLOW_VISIT_S: Final = (30, 60)
SLOW_INTERVAL_S: Final = 10
JOINED_AFTER_S: Final = 2.0
"""Capture connects so long after a keyframe."""

HEAD: Final = """
| camera | visits seen | latest, s | connections | seconds with frames |
| --- | --- | --- | --- | --- |"""

Image = NDArray[np.uint8]
_SAMPLING_FPS: Final = 5
_MOTION: Final = 0.004


def scenes(background: Callable[[int], Image], fps: float, visit: tuple[int, int]) -> Iterator[Image]:
    """Yield the images of one cycle; a visitor is a bright, moving body."""
    random = np.random.default_rng(3)
    for n in range(int(CYCLE_S * fps)):
        image, at = background(n).copy(), n / fps
        if visit[0] <= at < visit[1]:
            body = random.integers(200, 255, (120, 80, 1), np.uint8)
            left = 40 + int(at * 15) % 180
            image[40:160, left : left + 80] = body
        yield image


def encoded(images: Iterator[Image], keyframes_every: int) -> list[list[bytes]]:
    """Return the NAL units of each image in H.264."""
    parameters = f"repeat-headers=1:keyint={keyframes_every}:min-keyint={keyframes_every}:scenecut=0"
    return encode(images, FPS, {"preset": "ultrafast", "tune": "zerolatency", "x264-params": parameters})


def jpegs(images: Iterator[Image]) -> list[bytes]:
    """Return each image as a JPEG."""
    made = []
    for image in images:
        codec: Any = av.CodecContext.create("mjpeg", "w")
        codec.width, codec.height, codec.pix_fmt, codec.time_base = WIDTH, HEIGHT, "yuvj420p", Fraction(1, 25)
        frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuvj420p")
        made.append(b"".join(bytes(packet) for packet in [*codec.encode(frame), *codec.encode(None)]))
    return made


class Server:
    """A live camera: a client gets what it shows now."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.began_at = time.monotonic()
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            self.connections += 1
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), connection:
            self.serve(connection)

    def serve(self, connection: socket.socket) -> None:
        """Talk to one client."""
        raise NotImplementedError

    def wait_for(self, number: int, interval_s: float) -> None:
        """Sleep until the time of a frame."""
        time.sleep(max(self.began_at + number * interval_s - time.monotonic(), 0))


class RtspServer(Server):
    """H.264 over RTSP, interleaved in TCP; a client joins wherever the stream is."""

    def __init__(self, units: list[list[bytes]]) -> None:
        self._units = units
        super().__init__()

    @property
    def url(self) -> str:
        """The address of the stream."""
        return f"rtsp://127.0.0.1:{self.port}/cam"

    def serve(self, connection: socket.socket) -> None:
        """Answer requests, then play."""
        while request := read_head(connection):
            lines = request.split("\r\n")
            method, uri = lines[0].split(" ")[:2]
            headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])}
            extra, body = "", ""
            if method == "DESCRIBE":
                sets = ",".join(base64.b64encode(n).decode() for n in self._units[0] if n[0] & 31 in {7, 8})
                body = (
                    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=c\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
                    "a=rtpmap:96 H264/90000\r\na=control:track1\r\n"
                    f"a=fmtp:96 packetization-mode=1;sprop-parameter-sets={sets}\r\n"
                )
                extra = f"Content-Type: application/sdp\r\nContent-Base: {uri}/\r\n"
            elif method == "SETUP":
                extra = f"Transport: {headers['transport']}\r\nSession: 1;timeout=60\r\n"
            head = f"RTSP/1.0 200 OK\r\nCSeq: {headers['cseq']}\r\n{extra}Content-Length: {len(body)}\r\n\r\n"
            connection.sendall((head + body).encode())
            if method == "PLAY":
                self._play(connection)

    def _play(self, connection: socket.socket) -> None:
        number, sequence = int((time.monotonic() - self.began_at) * FPS) + 1, 0
        while True:
            self.wait_for(number, 1 / FPS)
            payloads = [part for nal in self._units[number % len(self._units)] for part in fragments(nal)]
            for index, payload in enumerate(payloads):
                marker = 0x80 if index == len(payloads) - 1 else 0
                stamp = number * 90000 // FPS & 0xFFFFFFFF
                packet = struct.pack(">BBHII", 0x80, marker | 96, sequence & 0xFFFF, stamp, 7) + payload
                connection.sendall(b"$\0" + struct.pack(">H", len(packet)) + packet)
                sequence += 1
            number += 1


class MjpegServer(Server):
    """A JPEG every 10 s over HTTP; a client gets the current one at once."""

    def __init__(self, images: list[bytes]) -> None:
        self._images = images
        super().__init__()

    @property
    def url(self) -> str:
        """The address of the stream."""
        return f"http://127.0.0.1:{self.port}/video"

    def serve(self, connection: socket.socket) -> None:
        """Send JPEGs for ever."""
        read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace;boundary=frame\r\n\r\n")
        number = int((time.monotonic() - self.began_at) / SLOW_INTERVAL_S)
        while True:
            self.wait_for(number, SLOW_INTERVAL_S)
            image = self._images[number % len(self._images)]
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(image)}\r\n\r\n"
            connection.sendall(head.encode() + image + b"\r\n")
            number += 1


class Observer:
    """Counts losses; every other report is ignored."""

    def __init__(self) -> None:
        self.losses: list[str] = []

    def lost(self, error: Exception, retry_in_s: float) -> None:
        """Count a loss of the source."""
        self.losses.append(f"{error} (again in {retry_in_s:.0f} s)")

    def __getattr__(self, name: str) -> Callable[..., None]:
        """Return a function that ignores its arguments."""
        return lambda *_: None


class SeenVisits(Slot):
    """Notes the visits that are seen, and the times of the frames."""

    def __init__(self, server: Server, visit: tuple[int, int]) -> None:
        super().__init__()
        self._server, self._visit = server, visit
        self._gate = MotionGate(_MOTION, duplicates=True)
        self.frames: list[float] = []
        self.delays: dict[int, float] = {}

    def put(self, frame: Frame) -> None:
        """Take a frame as the frame pipeline does."""
        clock = frame.at - self._server.began_at
        self.frames.append(clock)
        decision = self._gate.check(frame.luma.grey, frame.luma.fingerprint, frame.at, tracking=False)
        shows = float((frame.luma.grey > 180).mean()) > 0.05
        number = int(clock // CYCLE_S)
        if decision.action is FrameAction.ANALYSE and shows and number not in self.delays:
            self.delays[number] = clock - number * CYCLE_S - self._visit[0]

    def covered_s(self, interval_s: float) -> float:
        """Return the seconds in which frames came."""
        steps = zip(self.frames, self.frames[1:], strict=False)
        return sum(min(after - before, interval_s) for before, after in steps)


@dataclass
class Watched:
    """One camera with what was seen of it."""

    name: str
    kind: str
    server: Any
    visit: tuple[int, int]
    interval_s: float
    observer: Observer = field(default_factory=Observer)
    seen: SeenVisits = field(init=False)

    def start(self) -> None:
        """Begin to capture."""
        self.seen = SeenVisits(self.server, self.visit)
        source, stop, watchdog = CameraSource(type=self.kind, url=self.server.url), threading.Event(), Watchdog()

        def make() -> Any:  # noqa: ANN401 - a source of any type
            return make_source(
                source, Decode(), folder=Path("/"), credentials_folder=None, watchdog=watchdog, stop=stop
            )

        sampler, observer = Sampler(_SAMPLING_FPS), self.observer
        loop = CaptureLoop(make, self.seen, observer, sampler, watchdog, live=True)
        threading.Thread(target=loop.run, args=(stop,), daemon=True).start()

    def row(self, now: float) -> str:
        """Return the figures as a row of a Markdown table."""
        age = now - self.server.began_at
        made = sum(1 for n in range(int(age // CYCLE_S) + 1) if age >= n * CYCLE_S + self.visit[1])
        seen = sorted(delay for number, delay in self.seen.delays.items() if number < made)
        latest = f"{seen[-1]:.1f}" if seen else "-"
        covered = self.seen.covered_s(1.5 * self.interval_s)
        return (
            f"| {self.name} | {len(seen)} of {made} | {latest} | {self.server.connections} | "
            f"{covered:.0f} of {age:.0f} |"
        )


def cameras() -> list[Watched]:
    """Return the four cameras."""
    random = np.random.default_rng(1)
    dark = np.full((HEIGHT, WIDTH, 3), 16, np.uint8)
    room = random.integers(20, 110, (HEIGHT // 8, WIDTH // 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)

    def noisy(n: int) -> Image:
        noise: Image = np.random.default_rng(n).integers(0, 8, (HEIGHT, WIDTH, 1), np.uint8)
        return room + noise

    def rtsp(background: Callable[[int], Image], keyframes_s: int) -> RtspServer:
        return RtspServer(encoded(scenes(background, FPS, VISIT_S), keyframes_s * FPS))

    slow = MjpegServer(jpegs(scenes(noisy, 1 / SLOW_INTERVAL_S, SLOW_VISIT_S)))
    return [
        Watched("dark, no noise, keyframes every 5 s", "RTSP", rtsp(lambda _: dark, 5), VISIT_S, 0.2),
        Watched("still, no noise, keyframes every 30 s", "RTSP", rtsp(lambda _: room, 30), VISIT_S, 0.2),
        Watched("one frame in 10 s", "HTTPMJPEG", slow, SLOW_VISIT_S, SLOW_INTERVAL_S),
        Watched("keyframes every 40 s", "RTSP", rtsp(noisy, 40), VISIT_S, 0.2),
    ]


def main() -> None:
    """Run the cameras and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3600)
    seconds = parser.parse_args().seconds
    watched = cameras()
    began_at = time.monotonic()
    for one in watched:
        one.server.began_at = began_at - JOINED_AFTER_S
        one.start()
    while time.monotonic() < began_at + seconds:
        time.sleep(min(300.0, max(began_at + seconds - time.monotonic(), 0)))
        print(HEAD)
        for one in watched:
            print(one.row(time.monotonic()), flush=True)
    for one in watched:
        for text in one.observer.losses[:5]:
            print(f"{one.name}: {text}", flush=True)


if __name__ == "__main__":
    main()
