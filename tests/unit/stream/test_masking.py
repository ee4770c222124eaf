"""What a privacy mask covers is black in the frame itself, in every format that decoders yield."""

from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from tests.unit.stream.test_regions import STAR

from vigil_stream.capture.convert import Converter
from vigil_stream.capture.luma import LumaReader
from vigil_stream.capture.upright import Upright
from vigil_stream.masking import FrameMask
from vigil_stream.pipeline.regions import PrivacyMask
from vigil_vision import letterbox

FORMATS = ["yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "nv12", "gray", "yuyv422", "rgb24"]
DEEP = ["yuv420p10le", "p010le", "bgr0", "gray10le", "yuv411p", "nv21", "pal8"]
MASKED, OPEN = (255, 0, 0), (0, 90, 200)


def split_frame(name: str, inside: NDArray[np.bool_]) -> av.VideoFrame:
    """Return a frame of a format, blue, and red from two pixels inside the mask (converting mixes neighbours)."""
    wide = np.pad(~inside, 2)
    height, width = inside.shape
    near = np.logical_or.reduce([wide[y : y + height, x : x + width] for y in range(5) for x in range(5)])
    pixels = np.where(near[..., None], OPEN, MASKED).astype(np.uint8)
    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
    if name == "pal8":
        return av.VideoFrame.from_ndarray(inside.astype(np.uint8), format="gray").reformat(format="rgb8")
    made = frame.reformat(format=name)
    made.pts, made.time_base = 42, Fraction(1, 90_000)
    return made


@pytest.mark.parametrize("size", [(352, 640), (181, 321), (17, 16)])
@pytest.mark.parametrize("name", FORMATS + DEEP)
def test_a_masked_frame_is_black_however_it_is_read(name: str, size: tuple[int, int]) -> None:
    """In full, in parts and scaled; no colour of what was there comes through, not even beside the mask."""
    height, width = size
    star = np.array(STAR)
    inside = PrivacyMask([star]).covered(width, height)
    frame = FrameMask([star]).applied(split_frame(name, inside))
    converter = Converter()
    whole = converter.region(frame, 0, 0, width, height)
    assert whole[inside].max() == 0
    part = converter.region(frame, 4, 2, width - 6, height - 4)
    assert part[inside[2 : height - 2, 4 : width - 2]].max() == 0
    assert whole[~inside].max() > 20 or name == "pal8"
    box = letterbox.fit(width, height, 96, 96)
    small = np.zeros((box.height, box.width, 3), np.uint8)
    converter.letterboxed(frame, box, small)
    red = small[..., 0].astype(int) - small[..., 1:].max(axis=2)
    assert red.max() < 10, "red is only under the mask"
    assert frame.pts in {42, None}


def test_masked_pixels_do_not_move_the_small_image() -> None:
    """The cells of the motion gate are not aligned with the mask, and yet what moves under it changes none of them."""
    outline = np.array([(0.905, 0.0), (1.0, 0.0), (1.0, 1.0), (0.905, 1.0)])
    mask, reader = FrameMask([outline]), LumaReader()
    seen = []
    for value in (0, 255):
        pixels = np.full((576, 704), 100, np.uint8)
        pixels[PrivacyMask([outline]).covered(704, 576)] = value
        luma = reader.read(mask.applied(av.VideoFrame.from_ndarray(pixels, format="gray").reformat(format="yuvj420p")))
        seen.append(luma)
    np.testing.assert_array_equal(seen[0].grey, seen[1].grey)
    assert seen[0].fingerprint == seen[1].fingerprint


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("name", ["yuv420p", "yuvj420p", "nv12", "rgb24"])
def test_a_mask_lies_on_the_upright_frame(name: str, rotation: int, mirror: bool) -> None:
    """Turning leaves frames upside down in memory, in which rows are stored from the last one."""
    stored = av.VideoFrame.from_ndarray(np.full((180, 320, 3), OPEN, np.uint8), format="rgb24").reformat(format=name)
    upright = Upright(rotation, mirror=mirror).apply(stored)
    frame = FrameMask([np.array([(0, 0), (0.5, 0), (0.5, 0.5), (0, 0.5)])]).applied(upright)
    width, height = frame.width, frame.height
    assert (width < height) == (rotation in {90, 270})
    whole = Converter().region(frame, 0, 0, width, height)
    assert whole[: height // 2, : width // 2].max() == 0
    assert whole[height // 2 + 4 :].any(axis=2).all()
    assert whole[:, width // 2 + 4 :].any(axis=2).all()
    grey = LumaReader().read(frame).grey
    assert grey[: len(grey) // 2, : len(grey[0]) // 2].max() == 0


def test_the_decoder_keeps_its_own_frame() -> None:
    """Later frames are predicted from it, so that only a copy may be painted."""
    encoder = av.CodecContext.create("mpeg4", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 64, 48, "yuv420p", Fraction(1, 25)
    encoder.gop_size = 100
    random = np.random.default_rng(1)
    still = av.VideoFrame.from_ndarray(random.integers(0, 255, (48, 64, 3), np.uint8), format="rgb24")
    packets = [
        packet for _ in range(3) for packet in encoder.encode(still.reformat(format="yuv420p"))
    ] + encoder.encode()
    everything = FrameMask([np.array([(0, 0), (1, 0), (1, 1), (0, 1)])])
    bright = []
    for masked in (False, True):
        decoder = av.CodecContext.create("mpeg4", "r")
        decoder.extradata = encoder.extradata
        frames = [frame for packet in [*packets, None] for frame in decoder.decode(packet)]
        decoder = av.CodecContext.create("mpeg4", "r")
        decoder.extradata = encoder.extradata
        last: NDArray[Any] = np.empty(0)
        for packet in [*packets, None]:
            for frame in decoder.decode(packet):
                last = frame.to_ndarray(format="gray")
                if masked:
                    assert everything.applied(frame).to_ndarray(format="rgb24").max() == 0
        assert len(frames) == 3
        bright.append(last.mean())
    assert bright[0] == pytest.approx(bright[1])
