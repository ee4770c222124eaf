"""The small parts between a source and the analysis."""

import errno
import threading
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigil_contracts.conditions import FitnessReason, SourceReason
from vigil_contracts.resources.source import CameraSource
from vigil_runtime.backoff import FIRST_S, LONGEST_S, Backoff
from vigil_runtime.deadline import Deadline
from vigil_stream.analyses.faces.fitness import ENOUGH, Fitness
from vigil_stream.capture import credentials, errors
from vigil_stream.capture.convert import Converter
from vigil_stream.capture.errors import MAX_SIDE, MIN_SIDE, SourceError, check_size
from vigil_stream.capture.jpeg import jpeg_fingerprint, jpeg_size
from vigil_stream.capture.luma import LumaReader, fingerprint
from vigil_stream.capture.pace import Pace
from vigil_stream.capture.slot import Frame, Slot, SourceLost
from vigil_stream.capture.source import Sampler, Watchdog
from vigil_stream.pipeline import geometry
from vigil_vision import letterbox

SECRET_URL = "rtsp://user:secret@camera/"


@pytest.mark.parametrize(("source_fps", "wanted"), [(30, 5), (29.97, 5), (5, 5), (10, 7), (4, 5), (60, 60), (25, 1)])
def test_the_sampling_rate_is_kept(source_fps: float, wanted: int) -> None:
    sampler = Sampler(wanted)
    count = int(source_fps * 60)
    chosen = sum(sampler.offer(n / source_fps) for n in range(count))
    assert sampler.captured == count
    assert chosen / 60 == pytest.approx(min(source_fps, wanted), rel=0.05)


@given(st.lists(st.floats(0.001, 2), max_size=200), st.integers(1, 60))
def test_the_sampler_never_exceeds_its_rate(gaps: list[float], fps: int) -> None:
    sampler, at, chosen = Sampler(fps), 0.0, []
    for gap in gaps:
        at += gap
        if sampler.offer(at):
            chosen.append(at)
    span = chosen[-1] - chosen[0] if chosen else 0
    assert len(chosen) <= span * fps + 2.2


def frame_with_luma(at: float = 0.0) -> Frame:
    frame = av.VideoFrame(64, 48, "yuv420p")
    return Frame(frame, LumaReader().read(frame), at, at)


def test_the_slot_keeps_only_the_newest() -> None:
    slot = Slot()
    frames = [frame_with_luma(n) for n in range(3)]
    for frame in frames:
        slot.put(frame)
    assert slot.take(0) is frames[2]
    assert slot.take(0) is None
    assert slot.dropped == 2


def test_the_loss_of_the_source_comes_before_the_next_frame() -> None:
    slot = Slot()
    slot.put(frame_with_luma())
    slot.lose()
    after = frame_with_luma(1)
    slot.put(after)
    assert isinstance(slot.take(0), SourceLost)
    assert slot.take(0) is after


def test_the_slot_wakes_a_waiting_taker() -> None:
    slot = Slot()
    threading.Timer(0.01, lambda: slot.put(frame_with_luma())).start()
    assert slot.take(10) is not None


def test_backoff_doubles_with_jitter_up_to_its_limit() -> None:
    backoff = Backoff()
    waits = [backoff.next_s() for _ in range(12)]
    for n, wait in enumerate(waits):
        step = min(FIRST_S * 2**n, LONGEST_S)
        assert step / 2 <= wait <= step
    backoff.reset()
    assert backoff.next_s() <= FIRST_S


def test_several_waits_never_add_up_to_more_than_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("vigil_runtime.deadline.time.monotonic", lambda: now[0])
    deadline = Deadline(8)
    for _ in range(10):
        now[0] += deadline.left(3)
    assert now[0] == 108
    now[0] += 1
    assert deadline.left() == 0


@dataclass
class Stamped:
    """A packet's times."""

    pts: int
    dts: int = 0
    time_base: Fraction = Fraction(1, 10)


@pytest.mark.parametrize("jump", [36_000, -36_000])
def test_a_jump_of_a_files_clock_is_not_waited_out(jump: int) -> None:
    pace = Pace(threading.Event())
    stamps = [1_000_000 + n + (jump if n >= 5 else 0) for n in range(10)]
    times = [pace.media_time(Stamped(stamp)) for stamp in stamps]
    assert times == pytest.approx([n / 10 for n in range(10)])


def test_the_watchdog_expires_only_after_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("vigil_stream.capture.source.time.monotonic", lambda: now[0])
    watchdog = Watchdog()
    now[0] += 1e6
    assert not watchdog.expired()
    watchdog.arm("reading", 5)
    now[0] += 11
    assert not watchdog.expired()
    now[0] += 2
    assert watchdog.expired()
    watchdog.disarm()
    assert not watchdog.expired()


@pytest.mark.parametrize(
    ("width", "height"), [(0, 0), (MIN_SIDE - 1, 100), (100, 0), (MAX_SIDE + 1, 100), (8000, 8000)]
)
def test_sizes_that_are_refused(width: int, height: int) -> None:
    with pytest.raises(SourceError, match=f"{width}x{height}") as caught:
        check_size(width, height, "rtsp://camera")
    assert caught.value.reason is SourceReason.PICTURE_SIZE_UNSUPPORTED
    check_size(MIN_SIDE, MAX_SIDE, "x")


@pytest.mark.parametrize(
    "error",
    [
        av.error.InvalidDataError(1, "boom", SECRET_URL),
        av.error.ExitError(1, "boom", SECRET_URL),
        OSError(5, "boom", SECRET_URL),
        ValueError(f"cannot parse {SECRET_URL}"),
    ],
)
def test_foreign_texts_never_reach_a_message(error: Exception) -> None:
    for found in (errors.while_opening(error, "rtsp://camera/", 10), errors.while_reading(error, "rtsp://camera/", 8)):
        assert "secret" not in str(found)
        assert "rtsp://camera/" in str(found)


@pytest.mark.parametrize(
    ("number", "reason", "words"),
    [
        (errno.ENODEV, SourceReason.STOPPED, "plug the camera in again"),
        (errno.EBUSY, SourceReason.REFUSED, "used by another program"),
        (errno.ENOENT, SourceReason.NOT_FOUND, "plug the camera in"),
        (errno.ENOTTY, SourceReason.NOT_A_VIDEO, "take another /dev/video*"),
        (errno.EIO, SourceReason.STOPPED, "another cable or port"),
    ],
)
def test_errors_of_webcams_name_what_to_do(number: int, reason: SourceReason, words: str) -> None:
    error = OSError(number, "from the kernel")
    for found in (errors.while_opening(error, "/dev/video0", 10), errors.while_reading(error, "/dev/video0", 8)):
        assert found.reason is reason
        assert words in str(found)


def test_credentials_are_quoted_and_not_shown(tmp_path: Path) -> None:
    (tmp_path / "username").write_text("me@home\n")
    (tmp_path / "password").write_text("a:b/c?#\n")
    (tmp_path / "token").write_text("t&k=1\n")
    for url, filled, login in (
        ("rtsp://h:554/x?y=1", "rtsp://me%40home:a%3Ab%2Fc%3F%23@h:554/x?y=1", True),
        ("http://h/x?u={username}&p={password}", "http://h/x?u=me%40home&p=a%3Ab%2Fc%3F%23", False),
        ("http://h/{token}/x?t={token}", "http://me%40home:a%3Ab%2Fc%3F%23@h/t%26k%3D1/x?t=t%26k%3D1", True),
    ):
        source = CameraSource.model_validate(
            {
                "type": "RTSP" if url.startswith("rtsp") else "HTTPMJPEG",
                "url": url,
                "credentialsSecretRef": {"name": "s"},
            }
        )
        found = credentials.read(tmp_path, source)
        assert found.in_url(url) == filled
        assert (found.login is not None) == login
        assert "a:b" not in repr(found)
        assert "t&k" not in repr(found)
    (tmp_path / "password").unlink()
    assert credentials.read(tmp_path, source).in_url(url) == "http://h/t%26k%3D1/x?t=t%26k%3D1"
    (tmp_path / "token").unlink()
    with pytest.raises(SourceError, match="the key `token` of the camera's Secret cannot be read"):
        credentials.read(tmp_path, source)


@given(st.binary(max_size=200))
def test_any_bytes_can_be_asked_for_a_jpeg_size(data: bytes) -> None:
    assert jpeg_size(data) is None or data[:2] == b"\xff\xd8"
    jpeg_size(b"\xff\xd8" + data)
    jpeg_fingerprint(b"\xff\xd8" + data)


def frame_of(width: int, height: int, name: str = "yuv420p") -> av.VideoFrame:
    rows, columns = np.mgrid[0:height, 0:width]
    rgb = np.stack([columns % 256, rows % 256, (rows + columns) // 2 % 256], axis=2).astype(np.uint8)
    return av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format=name)


@pytest.mark.parametrize("name", ["yuv420p", "yuvj420p", "nv12", "yuv422p", "yuyv422", "rgb24", "gray", "yuv420p10le"])
@pytest.mark.parametrize(("width", "height"), [(320, 192), (321, 193), (16, 16), (1920, 1080)])
def test_luma_of_every_format_and_size(name: str, width: int, height: int) -> None:
    reader = LumaReader()
    frame = frame_of(width, height, name) if name != "yuyv422" or width % 2 == 0 else frame_of(width, height)
    luma = reader.read(frame)
    assert max(luma.grey.shape) <= 80
    assert luma.fingerprint == reader.read(frame).fingerprint == fingerprint(frame)
    other = frame_of(width, height)
    plane = np.frombuffer(memoryview(other.planes[0]), np.uint8)
    plane[:] = 255 - plane
    assert reader.read(other).fingerprint != luma.fingerprint


@pytest.mark.parametrize("name", ["yuv420p", "nv12", "yuyv422", "rgb24", "rgba", "gray", "yuv420p10le"])
def test_a_change_at_the_right_edge_changes_the_fingerprint(name: str) -> None:
    rgb = frame_of(320, 192).to_ndarray(format="rgb24")
    before = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format=name)
    rgb[:, -16:] = 255 - rgb[:, -16:]
    after = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format=name)
    assert fingerprint(before) != fingerprint(after)


@pytest.mark.parametrize("name", ["yuv420p", "nv12", "yuv422p", "rgb24"])
@pytest.mark.parametrize(("left", "top", "width", "height"), [(0, 0, 321, 193), (100, 50, 121, 77), (300, 180, 21, 13)])
def test_a_region_equals_that_part_of_the_whole(name: str, left: int, top: int, width: int, height: int) -> None:
    frame = frame_of(321, 193, name)
    whole = frame.to_ndarray(format="rgb24")[top : top + height, left : left + width].astype(int)
    part = Converter().region(frame, left, top, width, height).astype(int)
    assert part.shape == (height, width, 3)
    # At its edges a region's colours are interpolated without what lies beyond.
    assert np.abs(part - whole)[2:-2, 2:-2].max() <= 24
    assert np.abs(part - whole).mean() < 3


def test_the_letterboxed_frame_lies_at_the_upper_left() -> None:
    box = letterbox.fit(1920, 1080, 640, 640)
    out = np.zeros((box.height, box.width, 3), np.uint8)
    Converter().letterboxed(frame_of(1920, 1080), box, out)
    assert out[: box.scaled_height].any()
    assert not out[box.scaled_height :].any()


@given(st.floats(-200, 2200), st.floats(-200, 1300), st.floats(0.1, 900))
def test_the_surroundings_of_a_face_lie_inside_the_frame(x: float, y: float, size: float) -> None:
    marks = np.array([(x, y), (x + size, y), (x + size / 2, y + size / 2), (x, y + size), (x + size, y + size)])
    left, top, width, height = geometry.surroundings(marks.astype(np.float32), 1920, 1080)
    assert left >= 0
    assert top >= 0
    assert left % 2 == top % 2 == 0
    assert left + width <= 1920
    assert top + height <= 1080


@pytest.mark.parametrize(
    ("pixels", "yaw", "sharpness", "reason"),
    [
        (80, 5, 0.8, FitnessReason.MEASURED),
        (30, 5, 0.8, FitnessReason.FACES_TOO_SMALL),
        (80, -60, 0.8, FitnessReason.FACES_TURNED),
        (80, 5, 0.05, FitnessReason.FACES_BLURRED),
    ],
)
def test_fitness_names_the_fault(pixels: float, yaw: float, sharpness: float, reason: FitnessReason) -> None:
    fitness = Fitness()
    assert fitness.assess()[0] is FitnessReason.NO_FACES_YET
    for _ in range(ENOUGH):
        fitness.add_face(pixels, yaw)
        fitness.add_sharpness(sharpness)
    found, message = fitness.assess()
    assert found is reason
    assert message
