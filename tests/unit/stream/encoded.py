"""Coded video of a moving pattern, and what a decoder makes of it when some is missing."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from vigil_stream.capture.decoder_log import DecoderLog
from vigil_stream.capture.integrity import Integrity

WIDTH, HEIGHT = 160, 96
GOP = 12
H264 = {"preset": "veryfast", "tune": "zerolatency"}
X264 = f"repeat-headers=1:keyint={GOP}:min-keyint={GOP}:scenecut=0:sliced-threads=0:rc-lookahead=0"
X265 = f"keyint={GOP}:min-keyint={GOP}:scenecut=0:repeat-headers=1:log-level=none"
STREAMS: dict[str, tuple[str, dict[str, str]]] = {
    "h264": ("libx264", {**H264, "x264-params": X264}),
    "h264 in slices": ("libx264", {**H264, "x264-params": f"{X264}:slices=4"}),
    "h264 baseline": ("libx264", {**H264, "profile": "baseline", "x264-params": X264}),
    "h264 with B-frames": ("libx264", {"preset": "veryfast", "x264-params": f"{X264}:bframes=2:b-adapt=0"}),
    "h264 with open GOPs": (
        "libx264",
        {"preset": "veryfast", "x264-params": f"{X264}:bframes=3:b-adapt=0:b-pyramid=normal:open-gop=1"},
    ),
    "h264 with gradual refresh": (
        "libx264",
        {**H264, "x264-params": f"repeat-headers=1:keyint={GOP}:intra-refresh=1:sliced-threads=0"},
    ),
    "h265": ("libx265", {"preset": "ultrafast", "tune": "zerolatency", "x265-params": X265}),
    "h265 with open GOPs": ("libx265", {"preset": "ultrafast", "x265-params": f"{X265}:bframes=3:open-gop=1"}),
    "mpeg2": ("mpeg2video", {"g": str(GOP)}),
    "vp8": ("libvpx", {"g": str(GOP), "deadline": "realtime", "crf": "10", "b": "500000"}),
}
DECODERS = {"libx264": "h264", "libx265": "hevc", "libvpx": "vp8"}
Change = Callable[[int, bytes], bytes | None]
"""From the number and the bytes of a packet to those that arrive; None: it is lost."""


def images(count: int) -> list[NDArray[np.uint8]]:
    pattern = np.random.default_rng(5).integers(40, 200, (HEIGHT // 8, WIDTH // 8), np.uint8)
    pattern = pattern.repeat(8, axis=0).repeat(8, axis=1)
    return [np.roll(pattern, 3 * n, axis=1)[..., None].repeat(3, axis=2) for n in range(count)]


def encode(stream: str, count: int = 4 * GOP) -> list[Any]:
    """Return the packets of a stream, in the order of decoding."""
    codec, options = STREAMS[stream]
    encoder: Any = av.CodecContext.create(codec, "w")
    encoder.width, encoder.height, encoder.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    encoder.time_base, encoder.framerate, encoder.options = Fraction(1, 25), Fraction(25), options
    packets: list[Any] = []
    for n, image in enumerate(images(count)):
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts = n
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    return packets


def decode(
    stream: str, packets: Sequence[Any], change: Change = lambda _, data: data
) -> list[tuple[int, bool, NDArray[np.uint8]]]:
    """Return the time of each frame, whether it counts, and its luma, in the order of display."""
    name = DECODERS.get(STREAMS[stream][0], STREAMS[stream][0])
    decoder: Any = av.CodecContext.create(name, "r")
    decoder.thread_count, decoder.copy_opaque = 1, True
    integrity, log, found = Integrity(name, None), DecoderLog(), []
    for n, packet in enumerate([*packets, None]):
        data = None if packet is None else change(n, bytes(packet))
        if packet is None:
            frames = decoder.decode(None)
        elif data is None:
            continue
        else:
            sent = av.Packet(data)
            sent.pts, sent.dts, sent.time_base = packet.pts, packet.dts, Fraction(1, 25)
            sent.is_keyframe = packet.is_keyframe
            mark, failed = integrity.packet(sent, lost=False), False
            try:
                with log.reading():
                    frames = decoder.decode(sent)
            except av.FFmpegError:
                frames, failed = [], True
            integrity.decoded(mark, damaged=failed or log.damaged)
        found += [(frame.pts, integrity.sound(frame), luma(frame)) for frame in frames]
    return found


def luma(frame: av.VideoFrame) -> NDArray[np.uint8]:
    plane: NDArray[np.uint8] = frame.to_ndarray(format="gray").astype(np.uint8, copy=False)
    return plane


def psnr(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Return the peak signal-to-noise ratio of two images, in decibels, at most 60."""
    error = float(((a.astype(np.float32) - b) ** 2).mean())
    return 60.0 if error < 0.065 else float(10 * np.log10(255**2 / error))
