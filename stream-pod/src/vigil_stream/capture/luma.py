"""A small grey picture and a fingerprint of a frame, from the decoder's luma plane and without a conversion."""

import zlib
from dataclasses import dataclass

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

GREY_CELLS = 80
"""Cells of the small picture along the longer side: about a face's width at 30 pixels in 640."""

_LUMA_FIRST = frozenset(
    {
        "yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "yuv411p", "yuvj411p", "yuv440p",
        "yuvj440p", "nv12", "nv21", "nv16", "gray",
    }
)  # fmt: skip
"""Formats whose first plane is 8-bit luma; of others, a grey copy is made."""


@dataclass(frozen=True, slots=True, eq=False)
class Luma:
    """What is known of a frame without looking at its colours.

    Attributes
    ----------
    grey
        [h,w] uint8: means over square cells of the picture, about 80 along its longer side.
    fingerprint
        CRC-32 of every few rows at full width: two frames with the same one are the same picture.
    """

    grey: NDArray[np.uint8]
    fingerprint: int


def plane(frame: av.VideoFrame, index: int, columns: int, rows: int) -> NDArray[np.uint8]:
    """View a plane of 8-bit samples [rows,columns] without its padding. The decoder still owns it: only read."""
    raw = frame.planes[index]
    view: NDArray[np.uint8] = np.frombuffer(memoryview(raw), np.uint8)
    return view.reshape(-1, raw.line_size)[:rows, :columns]


class LumaReader:
    """Makes `Luma` of the frames of one stream; not for several threads."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def read(self, frame: av.VideoFrame) -> Luma:
        """Read a frame of any format and size.

        Averages two rows and all columns of each cell: noise falls to a quarter, for a tenth of the picture's bytes.
        """
        if frame.format.name not in _LUMA_FIRST:
            frame = self._reformatter.reformat(frame, format="gray", threads=1)
        width, height = frame.width, frame.height
        cell = max(-(-max(width, height) // GREY_CELLS), 2)
        step = cell // 2
        luma = plane(frame, 0, width, height)
        columns, lines = max(width // cell, 1), max(height // cell, 1)
        rows = luma[: lines * 2 * step : step]
        fingerprint = zlib.crc32(rows.tobytes()) ^ (width << 16 | height)
        pairs = rows[0::2].astype(np.uint16)[: len(rows[1::2])]
        pairs += rows[1::2]
        used = pairs[:, : columns * cell]
        # 2 * 96 * 255, the most at 7680 pixels, still fits 16 bits.
        total = used[:, 0::cell].copy()
        for offset in range(1, min(cell, width)):
            total += used[:, offset::cell]
        return Luma((total // (2 * cell)).astype(np.uint8), fingerprint)
