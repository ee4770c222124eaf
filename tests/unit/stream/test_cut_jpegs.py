"""A JPEG that ends early is no frame: its lower part is grey, or lacks detail."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vigil_stream.capture.jpeg import JpegDecoder
from vigil_stream.capture.source import Sampler

EOI = b"\xff\xd9"
KINDS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "progressive": {"progressive": True},
    "restart markers": {"restart_marker_rows": 1},
}


def jpeg(kind: str) -> bytes:
    pixels = np.random.default_rng(1).integers(0, 255, (30, 40, 3), np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=80, **KINDS[kind])
    return file.getvalue()


@pytest.mark.parametrize("end", [b"", EOI], ids=["cut", "cut and ended"])
@pytest.mark.parametrize("share", [97, 80, 50, 20])
@pytest.mark.parametrize("kind", list(KINDS))
def test_trunc(kind: str, share: int, end: bytes) -> None:
    """Harness trunc: cut JPEGs were taken as frames with grey bottoms."""
    whole, sampler, decoder = jpeg(kind), Sampler(5), JpegDecoder("camera")
    assert decoder.decode(whole[: len(whole) * share // 100] + end, sampler) is None
    assert (sampler.corrupt, sampler.left_out) == (1, 1)
    assert decoder.decode(whole, sampler) is not None


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_hole_is_noticed(kind: str) -> None:
    whole = jpeg(kind)
    middle = len(whole) // 2
    assert JpegDecoder("camera").decode(whole[:middle] + whole[middle + 900 :], Sampler(5)) is None


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("tail", [bytes(100), b"\r\n", EOI])
def test_bytes_after_the_end_do_no_harm(kind: str, tail: bytes) -> None:
    assert JpegDecoder("camera").decode(jpeg(kind) + tail[:60], Sampler(5)) is not None


def test_a_whole_jpeg_without_its_end_marker_is_read() -> None:
    """Some webcam boards leave it out; all of the image is there."""
    assert JpegDecoder("camera").decode(jpeg("baseline").removesuffix(EOI), Sampler(5)) is not None
    assert JpegDecoder("camera").decode(jpeg("progressive").removesuffix(EOI), Sampler(5)) is None
