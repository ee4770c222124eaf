"""Moving images in H.264, as the NAL units that cameras send; for measurements and tests."""

import itertools
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray


def encode(images: Iterable[NDArray[np.uint8]], fps: int, options: dict[str, str]) -> list[list[bytes]]:
    """Return the access units of a film, each as its NAL units, in the order of decoding.

    Parameters
    ----------
    images
        [H,W,3] uint8 RGB, at least one.
    options
        Of libx264.
    """
    moving = iter(images)
    first = next(moving)
    codec: Any = av.CodecContext.create("libx264", "w")
    codec.width, codec.height, codec.pix_fmt = first.shape[1], first.shape[0], "yuv420p"
    codec.time_base, codec.framerate = Fraction(1, fps), Fraction(fps)
    codec.options = options
    packets = []
    for n, image in enumerate(itertools.chain([first], moving)):
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts = n
        packets += codec.encode(frame)
    packets += codec.encode(None)
    return [nal_units(bytes(packet)) for packet in packets]


def nal_units(data: bytes) -> list[bytes]:
    """Return the NAL units between start codes (Annex B)."""
    return [unit.rstrip(b"\0") for unit in data.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1") if unit]
