"""Video that stands still or repeats itself is distinguished from live video."""

import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from tests.unit.stream.test_capture_parts import frame_of

from vigil_stream.capture.container import ContainerSource, Plan, _FrozenFeed
from vigil_stream.capture.errors import SourceError
from vigil_stream.capture.frozen import FROZEN_AFTER_S, REPEAT_S, FrozenDetector
from vigil_stream.capture.jpeg import jpeg_fingerprint
from vigil_stream.capture.source import Sampler, Watchdog


@pytest.mark.parametrize(
    ("name", "period", "frozen"),
    [
        ("stands", 1, True),
        ("repeats half a second", 13, True),
        ("repeats what is no multiple of any sampling", 51, True),
        ("repeats three seconds", 75, True),
        ("repeats ten seconds", 250, False),
        ("lives", 10**6, False),
    ],
)
def test_frozen_is_a_piece_that_stands_still_or_repeats(name: str, period: int, frozen: bool) -> None:
    """25 frames in a second; those that are analysed are added twice."""
    detector, found = FrozenDetector(), False
    for n in range(int((FROZEN_AFTER_S + REPEAT_S + 2) * 25)):
        for _ in range(1 + (n % 5 == 0)):
            detector.add_decoded(n % period, n / 25)
        found |= detector.frozen(n / 25)
    assert found is frozen, name


@pytest.mark.parametrize("hidden", [True, False])
def test_it_is_enough_that_either_frames_or_bytes_repeat(hidden: bool) -> None:
    """Those that are analysed are never the same, their bytes are; and the other way round."""
    detector = FrozenDetector()
    for n in range(int((FROZEN_AFTER_S + REPEAT_S) * 25)):
        detector.add_encoded(n % 51 if hidden else n, n / 25)
        if n % 5 == 0:
            detector.add_decoded(n if hidden else 1, n / 25)
    assert detector.frozen(n / 25)


def test_a_clock_in_frames_that_are_not_analysed_is_not_frozen() -> None:
    detector = FrozenDetector()
    for n in range(int(FROZEN_AFTER_S * 3 * 25)):
        detector.add_decoded((n + 2) // 25, n / 25)
        assert not detector.frozen(n / 25)


def test_video_that_moves_again_is_not_frozen() -> None:
    detector = FrozenDetector()
    for n in range(5 * int(FROZEN_AFTER_S) - 5):
        detector.add_decoded(1, n / 5)
        assert not detector.frozen(n / 5)
    for n in range(2, 30):
        detector.add_decoded(n, 11 + n / 5)
        assert not detector.frozen(11 + n / 5)


def packets(*contents: bytes) -> "list[av.Packet[Any]]":
    """Make packets; a frame that needs no others begins with K."""
    made: list[av.Packet[Any]] = [av.Packet(content) for content in contents]
    for packet, content in zip(made, contents, strict=True):
        packet.is_keyframe = content.startswith(b"K")
    return made


IN_NO_ORDER = np.random.default_rng(1).choice([b"to the left", b"to the right"], 750)


@pytest.mark.parametrize(
    ("name", "contents", "frozen"),
    [
        ("the same piece", [b"K", *([b"to the left"] * 50)] * 15, True),
        ("the same changes in another order", [b"K", *IN_NO_ORDER], False),
    ],
)
def test_on_a_gpu_bytes_identify_a_frame_with_those_before(
    name: str, contents: list[bytes], frozen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("vigil_stream.capture.container.time.monotonic", lambda: now[0])
    detector = FrozenDetector()
    feed = _FrozenFeed(detector, alone=False, on_gpu=True)
    for packet in packets(*contents):
        feed.packet(packet)
        now[0] += 1 / 25
    assert detector.frozen(now[0]) is frozen, name


class Counting(FrozenDetector):
    """Counts what it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.frames = self.messages = 0

    def add_decoded(self, fingerprint: int, at: float) -> None:
        super().add_decoded(fingerprint, at)
        self.frames += 1

    def add_encoded(self, fingerprint: int, at: float) -> None:
        super().add_encoded(fingerprint, at)
        self.messages += 1


@pytest.mark.parametrize(
    ("codec", "pixels", "shown"), [("rawvideo", "yuv422p", (20, 0)), ("mjpeg", "yuvj420p", (0, 20))]
)
def test_every_frame_is_added_once_to_the_detector(
    tmp_path: Path, codec: Any, pixels: str, shown: tuple[int, int]
) -> None:
    """Uncompressed frames are compared in memory."""
    path = tmp_path / "clip.nut"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 96, pixels
        for _ in range(20):
            container.mux(stream.encode(frame_of(160, 96, pixels)))
        container.mux(stream.encode(None))
    source, detector = ContainerSource(Plan(str(path), "a live clip"), Watchdog(), threading.Event()), Counting()
    source.open()
    with pytest.raises(SourceError, match="ended the stream"):
        list(source.frames(Sampler(1), detector))
    source.close()
    assert (detector.frames, detector.messages) == shown


def jpeg(frame: av.VideoFrame) -> bytes:
    codec: Any = av.CodecContext.create("mjpeg", "w")
    codec.width, codec.height, codec.pix_fmt, codec.time_base = frame.width, frame.height, "yuvj420p", Fraction(1, 25)
    return b"".join(bytes(packet) for packet in [*codec.encode(frame), *codec.encode(None)])


def test_the_time_in_the_head_of_a_jpeg_is_ignored() -> None:
    encoded = jpeg(frame_of(160, 96, "yuvj420p"))
    stamped = [encoded[:2] + b"\xff\xfe\x00\x07" + time + encoded[2:] for time in (b"12:00", b"12:01")]
    assert stamped[0] != stamped[1]
    assert jpeg_fingerprint(stamped[0]) == jpeg_fingerprint(memoryview(stamped[1]))
    other = frame_of(160, 96, "yuvj420p")
    np.frombuffer(memoryview(other.planes[0]), np.uint8)[:] = 0
    assert jpeg_fingerprint(jpeg(other)) != jpeg_fingerprint(encoded)
