"""WebSocket and socket cameras that send something else, in pieces, nothing, or an end."""

import itertools
import socket
import time
from collections.abc import Callable, Iterator

import pytest
from tests.integration.stream.cameras import Camera, Framed, WebSocketCamera, for_ever
from tests.integration.stream.clips import jpegs
from tests.integration.stream.watching import watching
from tests.support.waiting import wait_until
from websockets.sync.server import ServerConnection

from vigil_contracts.conditions import SourceReason

pytestmark = pytest.mark.integration

IMAGES = jpegs(160, 96, 20)


def halves() -> Iterator[bytes]:
    for image in itertools.cycle(IMAGES):
        yield from (image[:1000], image[1000:])


def among_text() -> Iterator[bytes | str]:
    yield '{"hello": "camera"}'
    for image in itertools.cycle(IMAGES):
        yield from ('{"time": 1}', image)


MESSAGES: dict[str, Callable[[], Iterator[bytes | str]]] = {
    "text between JPEGs": among_text,
    "a JPEG in two messages": halves,
    "two JPEGs in a message": lambda: (image * 2 for image in itertools.cycle(IMAGES)),
    "a header before each JPEG": lambda: (b"\0\0\0\7time" + image for image in itertools.cycle(IMAGES)),
    "JPEGs in pieces of 100 bytes": lambda: (
        image[at : at + 100] for image in itertools.cycle(IMAGES) for at in range(0, len(image), 100)
    ),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_a_web_socket_with_jpegs_in_it(name: str) -> None:
    with WebSocketCamera(MESSAGES[name]) as camera, watching("WebSocket", camera.url) as watch:
        wait_until(lambda: len(watch.sizes) >= 2 or watch.errors, 20, name)
        assert not watch.errors


def test_a_web_socket_with_fragments() -> None:
    class Fragments(WebSocketCamera):
        def _talk(self, connection: ServerConnection) -> None:
            for image in itertools.cycle(IMAGES):
                connection.send([image[:100], image[100:2000], image[2000:]])
                if self.stopped.wait(0.04):
                    return

    with Fragments(lambda: iter(())) as camera, watching("WebSocket", camera.url) as watch:
        wait_until(lambda: len(watch.sizes) >= 5 or watch.errors, 20, "frames come")
        assert not watch.errors


def test_a_web_socket_that_sends_text_only() -> None:
    with WebSocketCamera(for_ever(["hello"])) as camera, watching("WebSocket", camera.url) as watch:
        wait_until(lambda: watch.errors, 20, "it is reported")
        assert watch.errors[0].reason is SourceReason.NOT_A_VIDEO
        assert "the last one is text" in str(watch.errors[0])


class Closing(WebSocketCamera):
    """Sends a JPEG, then closes with a code, or is silent."""

    def __init__(self, code: int | None) -> None:
        super().__init__(lambda: iter(()))
        self._code = code

    def _talk(self, connection: ServerConnection) -> None:
        connection.send(IMAGES[0])
        if self._code is None:
            self.stopped.wait()
        else:
            connection.close(self._code, "a text of the camera's own")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (1000, "code 1000: it ended the stream"),
        (1008, "code 1008: its rules forbid the connection; check url, credentialsSecretRef"),
        (1011, "code 1011: it has an error of its own"),
        (1013, "code 1013: it is overloaded; close other viewers"),
        (4242, "code 4242: check the log of the camera"),
        (None, "has sent no frame for 4 s"),
    ],
)
def test_a_web_socket_that_ends_or_is_silent(code: int | None, words: str) -> None:
    with Closing(code) as camera, watching("WebSocket", camera.url) as watch:
        wait_until(lambda: watch.errors, 20, "it is reported")
        assert watch.errors[0].reason is SourceReason.STOPPED
        assert words in str(watch.errors[0])
        assert len(watch.sizes) >= 1


class Pieces(Camera):
    """A framed JPEG in small pieces, as a slow network delivers them; then half of one."""

    def serve(self, connection: socket.socket) -> None:
        whole = [*IMAGES[:4], IMAGES[4]]
        data = b"".join(len(image).to_bytes(4, "big") + image for image in whole)[: -len(IMAGES[4]) // 2]
        for at in range(0, len(data), 700):
            connection.sendall(data[at : at + 700])
            time.sleep(0.005)  # the network's pace


def test_a_socket_with_partial_frames() -> None:
    with Pieces() as camera, watching("Socket", f"tcp://127.0.0.1:{camera.port}") as watch:
        wait_until(lambda: watch.errors, 20, "the end is reported")
        assert "in the middle of a JPEG" in str(watch.errors[0])
        assert watch.errors[0].reason is SourceReason.STOPPED
        assert watch.sampler.captured >= 4


def test_a_socket_that_ends_between_frames() -> None:
    with Framed(lambda: iter(IMAGES[:3])) as camera, watching("Socket", camera.url) as watch:
        wait_until(lambda: watch.errors, 20, "the end is reported")
        assert "ended the stream; check whether the camera still runs" in str(watch.errors[0])
