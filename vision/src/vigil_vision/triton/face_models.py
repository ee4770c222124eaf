"""What may be asked of a detector and an embedder, wherever they run."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vigil_vision.triton.cards import DetectionCard, RecognitionCard
from vigil_vision.triton.client import Answer


class FaceModels(Protocol):
    """Two models; `InferenceClient` asks Triton servers for them, others may run them in their own process.

    Every call raises InferenceError when it cannot be answered.
    """

    def detection_card(self) -> DetectionCard:
        """Give the detector's card."""

    def recognition_card(self) -> RecognitionCard:
        """Give the embedder's card."""

    def detect_answer(self, image: NDArray[np.uint8], *, deadline_s: float | None = None) -> Answer[DetectionCard]:
        """Find faces in a picture [H,W,3] uint8 RGB; see `InferenceClient.detect_answer`."""

    def embed_answer(self, faces: NDArray[np.uint8], *, deadline_s: float | None = None) -> Answer[RecognitionCard]:
        """Embed aligned faces [N,112,112,3] uint8 RGB; see `InferenceClient.embed_answer`."""
