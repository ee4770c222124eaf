"""JPEGs that come one by one (HTTP, WebSocket, socket): their size is read before anything is decoded."""

import time
import zlib
from collections.abc import Iterator
from typing import Final

import av
from av.codec.hwaccel import HWAccel
from av.video.codeccontext import VideoCodecContext

from vigil_contracts.conditions import SourceReason
from vigil_stream.capture.errors import SourceError, check_size
from vigil_stream.capture.source import Sampler

MAX_BAD_IN_A_ROW = 50
"""Damaged JPEGs after which the source counts as damaged: 2 to 10 s at usual rates."""

WHOLE_ONLY: Final = {"err_detect": "explode"}
"""Option of FFmpeg's decoder: a scan that ends early, or holds what is no code, is an error; else it is filled with
grey."""

_SOI, _EOI = b"\xff\xd8", b"\xff\xd9"
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""SOF0 to SOF15 without DHT, JPG and DAC (ITU T.81, table B.1)."""
_SCAN = 0xDA


def jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height in pixels from a JPEG's frame header; None when there is none (ITU T.81, B.2.2)."""
    for marker, at in _segments(data):
        if marker in _FRAME_HEADERS:
            return int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
    return None


def is_whole(data: bytes) -> bool:
    """Return whether nothing is missing at the end of a JPEG, as far as only its last bytes show it.

    A progressive JPEG may lack whole scans, and the decoder takes what came for all. Others have one scan, and the
    decoder notices its early end; a camera that leaves out the end marker sends whole ones all the same.
    """
    progressive = any(marker in _PROGRESSIVE for marker, _ in _segments(data))
    return not progressive or _EOI in data[-64:]


def jpeg_fingerprint(data: bytes | memoryview) -> int:
    """Return the CRC-32 of a JPEG from its first scan on: cameras write the time into the part before."""
    start = next((at for marker, at in _segments(data) if marker == _SCAN), 0)
    return zlib.crc32(memoryview(data)[start:])


def _segments(data: bytes | memoryview) -> Iterator[tuple[int, int]]:
    """Yield marker and offset of each segment of a JPEG, up to its first scan."""
    if data[:2] != _SOI:
        return
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        yield marker, at
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")


class JpegDecoder:
    """Decodes the JPEGs of one source.

    Parameters
    ----------
    shown
        The source's URL without credentials, for messages.
    accelerator
        Where they are decoded; None: on the CPU.
    """

    def __init__(self, shown: str, accelerator: HWAccel | None = None) -> None:
        self._shown = shown
        self._codec: VideoCodecContext = av.CodecContext.create("mjpeg", "r", accelerator)
        self._codec.thread_count = 1
        self._codec.options = WHOLE_ONLY
        self._bad_in_a_row = 0

    @property
    def on_gpu(self) -> bool:
        """Whether the GPU decodes."""
        return self._codec.is_hwaccel

    def decode(self, data: bytes, sampler: Sampler) -> av.VideoFrame | None:
        """Return the frame of a JPEG; None when it is damaged, which is counted.

        Raises
        ------
        SourceError
            Not a JPEG, of a size that is not supported, or too many damaged ones in a row.
        """
        size = jpeg_size(data)
        if size is not None:
            check_size(*size, self._shown)
        started = time.monotonic()
        try:
            frames = self._codec.decode(av.Packet(data)) if size is not None and is_whole(data) else []
        except av.FFmpegError:
            frames = []
        sampler.rest(time.monotonic() - started)
        if frames and not frames[0].is_corrupt:
            self._bad_in_a_row = 0
            return frames[0]
        self._damaged(data, sampler)
        return None

    def _damaged(self, data: bytes, sampler: Sampler) -> None:
        sampler.corrupt += 1
        sampler.left_out += 1
        self._bad_in_a_row += 1
        if data[:2] != _SOI:
            message = f"{self._shown} sends messages that are not JPEGs; check source.type and url"
            raise SourceError(SourceReason.NOT_A_VIDEO, message)
        if self._bad_in_a_row >= MAX_BAD_IN_A_ROW:
            message = f"the last {self._bad_in_a_row} JPEGs of {self._shown} were damaged; check cable and network"
            raise SourceError(SourceReason.CORRUPT, message)
