"""An analysed frame: what its detector saw, and cuts from it at the resolution of the source."""

from dataclasses import dataclass, field

import av
import numpy as np
from numpy.typing import NDArray

from vigil_stream.capture.convert import Converter
from vigil_vision.detection import Detections
from vigil_vision.letterbox import Letterbox


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A frame with its detections.

    Attributes
    ----------
    letterbox, pixels
        The place of the frame in the input of the detector, and that input [H,W,3] uint8 RGB.
    detections
        In pixels of the source.
    captured_at, detected_at
        Seconds since the epoch.
    at
        When the frame was captured, on the monotonic clock.
    """

    letterbox: Letterbox
    pixels: NDArray[np.uint8]
    detections: Detections
    captured_at: float
    detected_at: float
    at: float
    _frame: av.VideoFrame = field(repr=False)
    _converter: Converter = field(repr=False)

    @property
    def width(self) -> int:
        """Pixels of the source."""
        return self._frame.width

    @property
    def height(self) -> int:
        """Pixels of the source."""
        return self._frame.height

    def whole(self) -> NDArray[np.uint8] | None:
        """Return the frame [height,width,3] uint8 RGB where the detector got it without scaling, else None."""
        box = self.letterbox
        if (box.scaled_width, box.scaled_height) != (box.source_width, box.source_height):
            return None
        return self.pixels[: box.scaled_height, : box.scaled_width]

    def region(self, left: int, top: int, columns: int, rows: int) -> NDArray[np.uint8]:
        """Return a part [rows,columns,3] uint8 RGB of the frame; `left` and `top` are even, all in source pixels."""
        return self._converter.region(self._frame, left, top, columns, rows)
