"""Frames are turned as the stream states and as the Camera says how it hangs."""

import gc
import io
import struct
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from tests.support.shared import shared

from vigil_stream.capture.upright import Upright

WIDTH, HEIGHT = 64, 48


def blocks_image() -> NDArray[np.uint8]:
    """Return a grey image [48,64] of blocks, none of whose turns and flips equals another."""
    blocks = np.array([[250, 40, 90, 10], [130, 170, 60, 30], [200, 20, 110, 230]], np.uint8)
    return blocks.repeat(16, axis=0).repeat(16, axis=1)


def frame(image: NDArray[np.uint8], pixel_format: str = "yuv420p") -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(image, format="gray").reformat(format=pixel_format)


def grey(made: av.VideoFrame) -> NDArray[np.int16]:
    return made.reformat(format="gray").to_ndarray().astype(np.int16)


def assert_shows(made: av.VideoFrame, image: NDArray[np.uint8]) -> None:
    found = grey(made)
    assert found.shape == image.shape
    assert np.abs(found - image).mean() < 3


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuvj420p", "nv12", "yuv422p", "rgb24", "gray"])
@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_a_camera_that_hangs_turned(rotation: int, mirror: bool, pixel_format: str) -> None:
    expected = np.rot90(blocks_image(), -rotation // 90)
    if mirror:
        expected = expected[:, ::-1]
    upright = Upright(rotation, mirror=mirror)
    for _ in range(3):
        assert_shows(upright.apply(frame(blocks_image(), pixel_format)), expected)


def test_an_upright_frame_is_passed_on_itself() -> None:
    before = frame(blocks_image())
    assert Upright().apply(before) is before
    assert Upright().apply(before, Fraction(1)) is before


def test_a_frame_is_freed_when_it_is_not_used_any_more() -> None:
    """Without the garbage collector: a frame of a 4K camera has 12 MB."""
    upright = Upright()
    clip = av.open(str(shared("video/short_hamilton_clip.mp4")))
    gc.collect()
    gc.disable()
    try:
        for _, decoded in zip(range(60), clip.decode(video=0), strict=False):
            upright.apply(decoded)
        kept = sum(isinstance(one, av.VideoFrame) for one in gc.get_objects())
    finally:
        gc.enable()
    assert kept <= 5


@pytest.mark.parametrize(
    ("aspect", "size"),
    [
        (Fraction(64, 45), (92, 48)),  # 720x576 shown as 16:9
        (Fraction(12, 11), (70, 48)),
        (Fraction(10, 11), (64, 52)),
        (Fraction(1, 2), (64, 96)),
        (Fraction(100, 99), (64, 48)),
        (Fraction(1, 90), (64, 48)),
        (None, (64, 48)),
    ],
)
def test_pixels_become_square(aspect: Fraction | None, size: tuple[int, int]) -> None:
    made = Upright().apply(frame(blocks_image()), aspect)
    assert (made.width, made.height) == size
    turned = Upright(90).apply(frame(blocks_image()), aspect)
    assert (turned.height, turned.width) == size


@pytest.mark.parametrize("name", ["control", "rot90", "rot180"])
def test_rotation(name: str) -> None:
    """Case rotation: a film of a phone, stored turned with a matrix that turns it back."""
    with av.open(str(shared("cases/rotation/control.mp4"))) as container:
        expected = grey(next(container.decode(video=0)))
    with av.open(str(shared(f"cases/rotation/{name}.mp4"))) as container:
        made = Upright().apply(next(container.decode(video=0)))
    assert (made.width, made.height) == (960, 540)
    assert np.abs(grey(made) - expected).mean() < 3


_TURNS: dict[str, tuple[Any, Any]] = {
    "as it is": ((1, 0, 0, 1), lambda image: image),
    "left and right": ((-1, 0, 0, 1), lambda image: image[:, ::-1]),
    "up and down": ((1, 0, 0, -1), lambda image: image[::-1]),
    "clockwise": ((0, 1, -1, 0), lambda image: np.rot90(image, -1)),
    "counterclockwise": ((0, -1, 1, 0), lambda image: np.rot90(image, 1)),
    "transposed": ((0, 1, 1, 0), lambda image: image.T),
    "transposed back": ((0, -1, -1, 0), lambda image: image[::-1, ::-1].T),
}


def film(image: NDArray[np.uint8], matrix: tuple[int, int, int, int]) -> io.BytesIO:
    """Return a film of one frame whose track header holds a display matrix."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream: Any = container.add_stream("libx264", rate=5, options={"crf": "5"})
        stream.width, stream.height, stream.pix_fmt = image.shape[1], image.shape[0], "yuv420p"
        container.mux(stream.encode(frame(image)))
        container.mux(stream.encode(None))
    one = 65536
    a, b, c, d = (n * one for n in matrix)
    unit = struct.pack(">9i", one, 0, 0, 0, one, 0, 0, 0, 1 << 30)
    data, at = file.getvalue(), file.getvalue().index(b"tkhd")
    place = data.index(unit, at)
    data = data[:place] + struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30) + data[place + 36 :]
    return io.BytesIO(data)


@pytest.mark.parametrize("turn", list(_TURNS))
def test_every_turn_and_flip_of_a_display_matrix(turn: str) -> None:
    matrix, expected = _TURNS[turn]
    container: Any
    with av.open(film(blocks_image(), matrix)) as container:
        made = Upright().apply(next(container.decode(video=0)))
    assert_shows(made, np.ascontiguousarray(expected(blocks_image())))


def test_a_camera_is_turned_after_its_stream() -> None:
    container: Any
    with av.open(film(blocks_image(), _TURNS["clockwise"][0])) as container:
        made = Upright(270).apply(next(container.decode(video=0)))
    assert_shows(made, blocks_image())


def test_an_interlaced_frame_shows_one_moment() -> None:
    """Every second line is of another moment; both at once are a comb that no embedder knows."""
    first, second = blocks_image(), np.roll(blocks_image(), 16, axis=1)
    woven = first.copy()
    woven[1::2] = second[1::2]
    codec: Any = av.CodecContext.create("mpeg2video", "w")
    codec.width, codec.height, codec.pix_fmt, codec.time_base = WIDTH, HEIGHT, "yuv420p", Fraction(1, 25)
    codec.options = {"flags": "+ildct+ilme", "qmin": "1", "qmax": "1"}
    packets = [packet for one in (frame(woven), None) for packet in codec.encode(one)]
    decoder: Any = av.CodecContext.create("mpeg2video", "r")
    decoded = next(one for packet in [*packets, None] for one in decoder.decode(packet))
    assert decoded.interlaced_frame
    made = Upright().apply(decoded)
    assert (made.width, made.height) == (WIDTH, HEIGHT)
    inner = np.abs(grey(made) - first)[2:-2, 2:-2]
    assert np.median(inner) < 4
    assert np.abs(grey(made) - second).mean() > 30


def test_a_change_of_size_in_the_middle() -> None:
    upright = Upright(90)
    for image in (blocks_image(), blocks_image()[:32], blocks_image().T.copy()):
        assert_shows(upright.apply(frame(image)), np.ascontiguousarray(np.rot90(image, -1)))
