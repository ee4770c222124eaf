"""What of `vigil_vision.triton.InferenceClient` the pipeline uses."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vigil_vision.triton import Answer, DetectionCard, RecognitionCard


class Inference(Protocol):
    """Two models; every call has a deadline and raises InferenceError."""

    def detect_answer(self, image: NDArray[np.uint8], *, deadline_s: float | None = None) -> Answer[DetectionCard]:
        """Find faces in a picture [H,W,3]."""

    def embed_answer(self, faces: NDArray[np.uint8], *, deadline_s: float | None = None) -> Answer[RecognitionCard]:
        """Embed aligned faces [N,112,112,3]."""

    def detection_card(self) -> DetectionCard:
        """Tell about the detector."""

    def frame_buffer(self, height: int, width: int) -> NDArray[np.uint8]:
        """Give a picture to write into."""
