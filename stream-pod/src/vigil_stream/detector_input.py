"""The input of a detector: a frame, scaled and masked, in a buffer that a request passes on without a copy."""

from collections.abc import Callable

import av
import numpy as np
from numpy.typing import NDArray

from vigil_stream.capture.convert import Converter
from vigil_stream.pipeline.regions import PrivacyMask
from vigil_vision import letterbox
from vigil_vision.letterbox import Letterbox


class DetectorInput:
    """Writes the frames of a camera into the input of one detector.

    Parameters
    ----------
    mask
        The privacy mask of the camera.
    fixed_size
        Returns width and height in pixels when the detector takes one size only; may raise InferenceError.
    make_buffer
        Returns an image [height,width,3] uint8 of zeros.
    side
        Longest side of the input in pixels, when the detector takes any size.
    """

    def __init__(
        self,
        converter: Converter,
        mask: PrivacyMask,
        fixed_size: Callable[[], tuple[int, int] | None],
        make_buffer: Callable[[int, int], NDArray[np.uint8]],
        side: int,
    ) -> None:
        self._converter = converter
        self._mask = mask
        self._fixed_size = fixed_size
        self._make_buffer = make_buffer
        self._side = side
        self.letterbox: Letterbox | None = None
        """The letterbox of the last frame."""
        self.pixels: NDArray[np.uint8] = np.empty((0, 0, 3), np.uint8)
        """The input [H,W,3] uint8 RGB with the last frame; the next frame overwrites it."""

    def fit(self, width: int, height: int) -> Letterbox:
        """Return the letterbox for a size of frames; it and the buffer are kept until the size changes."""
        before = self.letterbox
        if before is not None and (before.source_width, before.source_height) == (width, height):
            return before
        fixed = self._fixed_size()
        box = letterbox.exact(width, height, *fixed) if fixed else letterbox.fit(width, height, self._side, self._side)
        self.pixels = self._make_buffer(box.height, box.width)
        self.letterbox = box
        return box

    def write(self, frame: av.VideoFrame, box: Letterbox) -> None:
        """Write a frame that lies in memory. Pixels that a privacy mask covers only in part become black too."""
        self._converter.letterboxed(frame, box, self.pixels)
        self._mask.blacken(self.pixels[: box.scaled_height, : box.scaled_width])
