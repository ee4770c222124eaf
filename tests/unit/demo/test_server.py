"""The demo's video server serves what cameras serve; read by the stream pod's own sources."""

import asyncio
import contextlib
import io
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.support.running import Running
from tests.support.waiting import eventually

from vigil_cli.demo.film import Kind, write_film
from vigil_cli.demo.scene import FPS
from vigil_cli.demo.server import MAX_CLIENTS, play
from vigil_cli.demo.site import video_server
from vigil_cli.standalone.servers.ports import LOOPBACK, free_port
from vigil_contracts.resources.camera import CameraSource, Decode, SourceType
from vigil_stream.capture import Sampler, Watchdog, make_source

DEADLINE_S = 20
PICTURES = 4


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    """Start the program itself, as `vigil demo` does; return the ports of HTTP and of the socket."""
    folder = tmp_path_factory.mktemp("films")
    path = folder / "entrance.mkv"
    colours = [np.full((48, 64, 3), 60 * number, np.uint8) for number in range(PICTURES)]
    write_film(path, Kind.JPEG, colours, lambda: None)
    http, socket = free_port(), free_port()
    server = Running(video_server(http, path, {socket: path}), folder).start()
    yield http, socket
    server.kill()


@contextlib.asynccontextmanager
async def connection(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    async with asyncio.timeout(DEADLINE_S):
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        try:
            yield reader, writer
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def test_mjpeg_is_multipart_with_a_length_for_every_picture(ports: tuple[int, int]) -> None:
    async with connection(ports[0]) as (reader, writer):
        writer.write(b"GET /entrance HTTP/1.1\r\nHost: x\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"Content-Type: multipart/x-mixed-replace; boundary=vigil" in head
        got = []
        for _ in range(PICTURES + 2):
            part = await reader.readuntil(b"\r\n\r\n")
            assert part.startswith(b"--vigil\r\nContent-Type: image/jpeg\r\n")
            length = int(part.split(b"Content-Length: ")[1].split(b"\r\n")[0])
            got.append(await reader.readexactly(length))
            assert await reader.readexactly(2) == b"\r\n"
    assert len(set(got)) == PICTURES
    assert got[PICTURES:] == got[:2], "the film begins again"
    assert Image.open(io.BytesIO(got[0])).size == (64, 48)


@pytest.mark.parametrize(
    ("kind", "url"),
    [(SourceType.HTTP_MJPEG, "http://{host}:{http}/entrance"), (SourceType.SOCKET, "tcp://{host}:{socket}")],
)
async def test_the_stream_pod_reads_it(ports: tuple[int, int], kind: SourceType, url: str) -> None:
    source = make_source(
        CameraSource(type=kind, url=url.format(host=LOOPBACK, http=ports[0], socket=ports[1])),
        Decode(),
        folder=Path(),
        credentials_folder=None,
        watchdog=Watchdog(),
        stop=threading.Event(),
    )

    def read() -> list[tuple[int, int]]:
        source.open()
        try:
            frames = source.frames(Sampler(60))
            return [(frame.width, frame.height) for frame, _ in zip(frames, range(5), strict=False)]
        finally:
            source.close()

    async with asyncio.timeout(DEADLINE_S):
        assert await asyncio.to_thread(read) == [(64, 48)] * 5


@pytest.mark.parametrize(
    ("request_line", "answer"),
    [
        (b"GET /nowhere HTTP/1.1", b"404"),
        (b"GET /healthz HTTP/1.1", b"200"),
        (b"POST /entrance HTTP/1.1", b"405"),
        (b"HEAD /entrance HTTP/1.1", b"200"),
        (b"nonsense", b"405"),
        (b"\xff\xfe \xff", b"405"),
    ],
)
async def test_other_requests_are_answered(ports: tuple[int, int], request_line: bytes, answer: bytes) -> None:
    async with connection(ports[0]) as (reader, writer):
        writer.write(request_line + b"\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 " + answer)
        await reader.read()  # it closes


async def test_one_client_too_many_is_refused_and_room_is_made_again(ports: tuple[int, int]) -> None:
    async def status(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(b"GET /entrance HTTP/1.1\r\n\r\n")
        return (await reader.readline()).split()[1]

    async def admitted() -> bool:
        async with connection(ports[0]) as one:
            return await status(*one) == b"200"

    async with contextlib.AsyncExitStack() as clients:
        answers = []
        for _ in range(MAX_CLIENTS + 1):  # clients of other tests may be leaving just now
            client = await clients.enter_async_context(connection(ports[0]))
            answers.append(await status(*client))
        assert answers[0] == b"200"
        assert answers[-1] == b"503"
    await eventually(admitted, DEADLINE_S, "there is room again")


async def test_frames_come_when_due_and_a_late_server_does_not_hurry(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Frames come when they are due and a late server does not hurry."""
    now, slept = 100.0, list[float]()

    class Loop:
        def time(self) -> float:
            return now

    async def sleep(seconds: float) -> None:
        nonlocal now
        slept.append(seconds)
        now += seconds

    monkeypatch.setattr("vigil_cli.demo.server.asyncio.get_running_loop", Loop)
    monkeypatch.setattr("vigil_cli.demo.server.asyncio.sleep", sleep)
    playing = play([b"one", b"two"])
    for _ in range(4):
        await anext(playing)
    assert slept == pytest.approx([1 / FPS] * 3)
    now += 60
    for _ in range(2 * FPS):
        await anext(playing)
    assert sum(seconds == 0 for seconds in slept) <= FPS + 1
