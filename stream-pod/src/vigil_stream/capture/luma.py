"""A small grey image and a fingerprint of a frame, from the decoder's luma plane and without a conversion."""

import random
from dataclasses import dataclass
from functools import cache, lru_cache

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

GREY_CELLS = 80
"""Cells of the small image along the longer side: about a face's width at 30 pixels in 640."""

_LUMA_FIRST = frozenset(
    {
        "yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "yuv411p", "yuvj411p", "yuv440p",
        "yuvj440p", "nv12", "nv21", "nv16", "gray",
    }
)  # fmt: skip
"""Formats whose first plane is 8-bit luma; of others, a grey copy is made."""


@dataclass(frozen=True, slots=True, eq=False)
class Luma:
    """The small grey image and the fingerprint of a frame.

    Attributes
    ----------
    grey
        [h,w] uint8: means over square cells of the frame, about 80 along its longer side.
    fingerprint
        See `fingerprint`.
    """

    grey: NDArray[np.uint8]
    fingerprint: int


def plane(frame: av.VideoFrame, index: int, columns: int, rows: int) -> NDArray[np.uint8]:
    """View a plane of 8-bit samples [rows,columns] without its padding. The decoder still owns it: only read."""
    raw = frame.planes[index]
    view: NDArray[np.uint8] = np.frombuffer(memoryview(raw), np.uint8)
    return view.reshape(-1, raw.line_size)[:rows, :columns]


def fingerprint(frame: av.VideoFrame) -> int:
    """Return a number that two frames share only when they are equal.

    Reads every few rows of the first plane at full width.

    Parameters
    ----------
    frame
        In memory, of any format and size.
    """
    if frame.planes[0].line_size <= 0:
        # Upside down in memory; no camera is known that sends such frames.
        frame = frame.reformat(format="gray", threads=1)
    width, height = frame.width, frame.height
    _, step, lines = _grid(width, height)
    # Whole 64-bit words only: the last pixels of a width that is no multiple of 8 are left out.
    row_bytes = width * _pixel_bytes(frame.format.name) // 8 * 8
    words = plane(frame, 0, row_bytes, height)[: lines * 2 * step : step].view(np.uint64)
    return int(np.einsum("ij,ij->", words, _weights(*words.shape))) ^ (width << 16 | height)


@lru_cache(maxsize=2)
def _weights(rows: int, columns: int) -> NDArray[np.uint64]:
    """Return odd numbers [rows,columns]. A sum weighted by them, modulo 2**64, costs half of a CRC-32."""
    numbers = random.Random(1).randbytes(8 * rows * columns)  # noqa: S311 - they are no secret
    return np.frombuffer(numbers, np.uint64).reshape(rows, columns) | np.uint64(1)


def _grid(width: int, height: int) -> tuple[int, int, int]:
    """Return the side of a cell, the distance of the rows that are read, both in pixels, and the cells in a column."""
    cell = max(-(-max(width, height) // GREY_CELLS), 2)
    return cell, cell // 2, max(height // cell, 1)


@cache
def _pixel_bytes(name: str) -> int:
    """Return the bytes of a pixel in a format's first plane."""
    found = av.VideoFormat(name, 16, 16)
    packed = all(component.plane == 0 for component in found.components)
    bits = found.padded_bits_per_pixel if packed else found.components[0].bits
    return max(-(-bits // 8), 1)


class LumaReader:
    """Computes the `Luma` of the frames of one stream; not for several threads."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def read(self, frame: av.VideoFrame) -> Luma:
        """Read a frame of any format and size.

        Averages two rows and all columns of each cell: noise falls to a quarter, for a tenth of the frame's bytes.
        """
        seen = frame
        if frame.format.name not in _LUMA_FIRST:
            frame = self._reformatter.reformat(frame, format="gray", threads=1)
        width, height = frame.width, frame.height
        cell, step, lines = _grid(width, height)
        columns = max(width // cell, 1)
        rows = plane(frame, 0, width, height)[: lines * 2 * step : step]
        pairs = rows[0::2].astype(np.uint16)[: len(rows[1::2])]
        pairs += rows[1::2]
        used = pairs[:, : columns * cell]
        # 2 * 96 * 255, the most at 7680 pixels, still fits 16 bits.
        total = used[:, 0::cell].copy()
        for offset in range(1, min(cell, width)):
            total += used[:, offset::cell]
        number = fingerprint(frame if seen.format.name == "cuda" else seen)
        return Luma((total // (2 * cell)).astype(np.uint8), number)
