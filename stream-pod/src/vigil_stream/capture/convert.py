"""From decoded frames to RGB arrays: the detector's input, and the neighbourhood of a face in source pixels."""

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from vigil_stream.capture.luma import plane
from vigil_vision.letterbox import Letterbox

_CHROMA_HALVED = frozenset({"yuv420p", "yuvj420p", "nv12"})
_BILINEAR = Interpolation.BILINEAR


class Converter:
    """Converts the frames of one stream; not for several threads.

    Scaling is bilinear with swscale's filter as wide as the step down, so that nothing aliases. The whole frame
    is only converted to the size of the detector; faces are cut from the decoder's own planes.
    """

    def __init__(self) -> None:
        self._whole = VideoReformatter()
        self._region = VideoReformatter()
        self._download = VideoReformatter()

    def in_memory(self, frame: av.VideoFrame) -> av.VideoFrame:
        """Return a frame in memory: a copy of one that lies on the GPU, others as they are."""
        if frame.format.name != "cuda":
            return frame
        target = frame.sw_format
        return self._download.reformat(frame, format=target.name if target is not None else "nv12", threads=1)

    def letterboxed(self, frame: av.VideoFrame, letterbox: Letterbox, out: NDArray[np.uint8]) -> None:
        """Scale a frame into the detector's input.

        Parameters
        ----------
        frame
            In memory, of the letterbox's source size.
        out
            [height,width,3] uint8 RGB, zeros outside of the scaled frame; written to.
        """
        scaled = self._whole.reformat(
            frame, letterbox.scaled_width, letterbox.scaled_height, "rgb24", interpolation=_BILINEAR, threads=1
        )
        rows = out.reshape(letterbox.height, letterbox.width * 3)
        row_bytes = letterbox.scaled_width * 3
        rows[: letterbox.scaled_height, :row_bytes] = plane(scaled, 0, row_bytes, letterbox.scaled_height)

    def region(self, frame: av.VideoFrame, left: int, top: int, width: int, height: int) -> NDArray[np.uint8]:
        """Return a part of a frame at its full resolution.

        Parameters
        ----------
        frame
            In memory.
        left, top, width, height
            Pixels, inside the frame; left and top must be even.

        Returns
        -------
        [height,width,3] uint8 RGB, a view that stays valid on its own.
        """
        if frame.format.name not in _CHROMA_HALVED:
            whole = self._region.reformat(frame, format="rgb24", threads=1)
            flat = plane(whole, 0, frame.width * 3, frame.height)
            return flat.reshape(frame.height, frame.width, 3)[top : top + height, left : left + width]
        part = self._cut(frame, left, top, width, height)
        converted = self._region.reformat(part, format="rgb24", threads=1)
        return plane(converted, 0, width * 3, height).reshape(height, width, 3)

    @staticmethod
    def _cut(frame: av.VideoFrame, left: int, top: int, width: int, height: int) -> av.VideoFrame:
        name = frame.format.name
        part = av.VideoFrame(width, height, name)
        part.colorspace, part.color_range = frame.colorspace, frame.color_range
        # Interleaved chroma has two bytes a sample, and half as many samples.
        chroma_bytes = 2 if name == "nv12" else 1
        for index, raw in enumerate(part.planes):
            halved = index > 0
            columns = -(-width // 2) * chroma_bytes if halved else width
            rows = -(-height // 2) if halved else height
            x, y = (left // 2 * chroma_bytes, top // 2) if halved else (left, top)
            target = np.frombuffer(memoryview(raw), np.uint8).reshape(-1, raw.line_size)
            target[:rows, :columns] = plane(frame, index, x + columns, y + rows)[y:, x:]
        return part
