"""What of `vigil_vision.faces.models.TritonFaceModels` the pipeline uses."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vigil_vision.faces.model_info import DetectorInfo
from vigil_vision.faces.models import DetectorResult, EmbedderResult


class Inference(Protocol):
    """Two models; every call has a deadline and raises InferenceError."""

    def detect(self, image: NDArray[np.uint8], *, deadline_s: float | None = None) -> DetectorResult:
        """Find faces in a picture [H,W,3]."""

    def embed(self, faces: NDArray[np.uint8], *, deadline_s: float | None = None) -> EmbedderResult:
        """Embed aligned faces [N,112,112,3]."""

    def detector_info(self) -> DetectorInfo:
        """Tell about the detector."""

    def frame_buffer(self, height: int, width: int) -> NDArray[np.uint8]:
        """Give a picture to write into."""
