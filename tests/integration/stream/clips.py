"""Small moving images, made on the spot: no two frames are alike, as from a real sensor."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from bench.h264 import encode
from numpy.typing import NDArray

FPS = 25


def images(width: int, height: int, count: int, seed: int = 1) -> Iterator[NDArray[np.uint8]]:
    random = np.random.default_rng(seed)
    for n in range(count):
        image = np.full((height, width, 3), 90, np.uint8)
        image[:, : max(width * n // count, 1)] = (40, 160, 220)
        noise = random.integers(0, 24, (-(-height // 4), -(-width // 4), 3), np.uint8)
        image += noise.repeat(4, axis=0).repeat(4, axis=1)[:height, :width]
        yield image


def h264(width: int, height: int, count: int, seed: int = 1) -> list[list[bytes]]:
    """Encode frames; each as its NAL units, keyframes with their parameter sets."""
    return encoded(list(images(width, height, count, seed)), keyframes_every=10)


def encoded(frames: list[NDArray[np.uint8]], *, keyframes_every: int) -> list[list[bytes]]:
    """Encode frames as `h264` does, with another interval of keyframes."""
    parameters = f"repeat-headers=1:keyint={keyframes_every}:scenecut=0"
    return encode(frames, FPS, {"preset": "ultrafast", "tune": "zerolatency", "x264-params": parameters})


def decoded(units: list[list[bytes]]) -> list[av.VideoFrame]:
    """Decode what `h264` returned."""
    codec = av.CodecContext.create("h264", "r")
    packets = [av.Packet(b"".join(b"\0\0\0\1" + unit for unit in frame)) for frame in units]
    return [frame for packet in [*packets, None] for frame in codec.decode(packet)]


def write_video(path: Path, width: int, height: int, count: int, codec: str = "libx264") -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=FPS)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = width, height
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for image in images(width, height, count):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            container.mux(stream.encode(frame.reformat(format=stream.pix_fmt)))
        container.mux(stream.encode(None))
    return path


def jpegs(width: int, height: int, count: int) -> list[bytes]:
    codec = av.CodecContext.create("mjpeg", "w")
    codec.width, codec.height, codec.pix_fmt = width, height, "yuvj420p"
    codec.time_base = Fraction(1, FPS)
    packets = []
    for n, image in enumerate(images(width, height, count)):
        frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuvj420p")
        frame.pts = n
        packets += [bytes(packet) for packet in codec.encode(frame)]
    return packets


def with_size(jpeg: bytes, width: int, height: int) -> bytes:
    """Claim another size in a JPEG's frame header."""
    at = jpeg.index(b"\xff\xc0")
    return jpeg[: at + 5] + height.to_bytes(2, "big") + width.to_bytes(2, "big") + jpeg[at + 9 :]
