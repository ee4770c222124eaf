"""Files are played to their end, over and over when they loop, whatever their clock does."""

import itertools
import threading
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from tests.support.shared import shared
from tests.unit.stream import encoded

from vigil_stream.capture import backlog
from vigil_stream.capture.container import ContainerSource, Plan
from vigil_stream.capture.decoding import SoundDecoder, prepare
from vigil_stream.capture.pace import Pace
from vigil_stream.capture.source import Sampler, Watchdog

SEGMENTS, TS_PACKET = shared("cases/segments/segments.ts").read_bytes(), 188


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for nothing: media time is what counts."""
    monkeypatch.setattr(Pace, "wait", lambda _: None)


def play(path: Path, *, loop: bool = False, most: int = 1000) -> tuple[Sampler, list[float], list[av.VideoFrame]]:
    """Return the media time at which each frame was due, and the frames."""
    source = ContainerSource(Plan(str(path), path.name, paced=True, loop=loop), Watchdog(), threading.Event())
    times: list[float] = []

    class Recorder(Sampler):
        def offer(self, at: float) -> bool:
            times.append(at)
            return super().offer(at)

    sampler = Recorder(1000)
    source.open()
    try:
        frames = list(itertools.islice(source.frames(sampler), most))
    finally:
        source.close()
    return sampler, times, frames


def test_segments() -> None:
    """Case segments: a recording glued from five pieces of 3 s, each from time zero, is played in full."""
    sampler, times, frames = play(shared("cases/segments/segments.ts"))
    assert times[-1] - times[0] == pytest.approx(14.9, abs=0.1)
    assert (len(frames), sampler.left_out) == (150, 0)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_a_loss_in_the_middle_of_a_segment_is_no_seam(share: float, tmp_path: Path) -> None:
    packets = [SEGMENTS[at : at + TS_PACKET] for at in range(0, len(SEGMENTS), TS_PACKET)]
    (tmp_path / "lossy.ts").write_bytes(b"".join(packets[: (at := int(len(packets) * share))] + packets[at + 1 :]))
    sampler, _, frames = play(tmp_path / "lossy.ts")
    assert sampler.left_out > 0
    assert len(frames) < 150


@pytest.mark.parametrize(
    ("stamps", "seconds"),
    [
        pytest.param([*range(30)] * 3, 9.0, id="each from zero"),
        pytest.param([*range(30), *range(20, 50)], 6.0, id="one second back"),
        pytest.param([*range(30), *range(500, 530)], 6.0, id="far ahead"),
        pytest.param([*range(30), 28.9, *range(30, 60)], 6.1, id="a stumble"),
        pytest.param([*range(30), *range(60, 90)], 9.0, id="a pause of three seconds is waited out"),
    ],
)
def test_a_clock_that_steps(stamps: list[float], seconds: float) -> None:
    class Item:
        time_base, dts = Fraction(1, 100), None

        def __init__(self, at: float) -> None:
            self.pts = int(at * 10)

    pace = Pace(threading.Event())
    times = [pace.media_time(Item(at)) for at in stamps]
    assert times[-1] + 0.1 == pytest.approx(seconds, abs=0.11)
    assert times == sorted(times)


def write(path: Path) -> Path:
    """Write four frames in the format that a name asks for."""
    if path.suffix == ".h264":
        path.write_bytes(b"".join(bytes(packet) for packet in encoded.encode("h264", 4)))
        return path
    images = [av.VideoFrame.from_ndarray(image, format="rgb24") for image in encoded.images(4)]
    if path.suffix in {".png", ".jpg"}:
        images[0].save(path)
        return path
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("mjpeg" if path.suffix == ".mjpeg" else "libx264", rate=5)
        stream.width, stream.height = encoded.WIDTH, encoded.HEIGHT
        stream.pix_fmt = "yuvj420p" if path.suffix == ".mjpeg" else "yuv420p"
        for image in [*images, None]:
            container.mux(stream.encode(image and image.reformat(format=stream.pix_fmt)))
    return path


@pytest.mark.parametrize("name", ["a.h264", "a.mjpeg", "a.jpg", "a.png", "a.mp4", "a.ts", "a.mkv"])
def test_any_file_loops(name: str, tmp_path: Path) -> None:
    """Raw streams and single images cannot be sought in."""
    _, times, frames = play(write(tmp_path / name), loop=True, most=13)
    assert len(frames) == 13
    assert np.diff(times).min() > 0


def test_a_decoder_slower_than_its_stream_does_not_fall_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames that are too old are not decoded; decoding begins again at a keyframe."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    packets, sampler = encoded.encode("h264", 20 * encoded.GOP), Sampler(1000)
    context: Any = av.CodecContext.create("h264", "r")
    prepare(context)
    slow = SoundDecoder(context, sampler, live=True)
    delays: list[float] = []
    shown: list[tuple[Any, Any]] = []
    for n, packet in enumerate(packets):
        sent = av.Packet(bytes(packet))
        sent.pts = sent.dts = n
        sent.time_base = Fraction(1, 25)
        now[0] = max(now[0], 100 + n / 25)  # it cannot be read before it was sent
        frames = slow.decode(sent, lost=False)
        now[0] += 0.06 * bool(frames)  # a decoder that takes one and a half times as long as it may
        delays.append(now[0] - (100 + n / 25))
        shown += [(frame.pts, encoded.luma(frame)) for frame in frames]
    assert sampler.skipped > encoded.GOP
    assert max(delays) < backlog.MAX_LAG_S + 0.2, "frames are worked through that are old"
    assert len(shown) > len(packets) // 2
    clean = encoded.decode("h264", packets)
    assert all(encoded.psnr(image, clean[at][2]) > 38 for at, image in shown)
