"""The detector and the embedder: the interface, and the implementation over Triton."""

from functools import lru_cache
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vigil_vision.detection import ROW
from vigil_vision.faces.alignment import CROP
from vigil_vision.faces.model_info import (
    DETECTION,
    RECOGNITION,
    DetectorInfo,
    EmbedderInfo,
    detector_info,
    embedder_info,
)
from vigil_vision.letterbox import STRIDE
from vigil_vision.triton import InferenceRejected, InferenceResult, ModelInfo, TritonClient

DetectorResult: TypeAlias = InferenceResult[NDArray[np.float32], DetectorInfo]
"""Values [N,K,15] float32 in pixels of the input, for `detection.decode`."""

EmbedderResult: TypeAlias = InferenceResult[NDArray[np.float32], EmbedderInfo]
"""Values [N,D] float32, rows of unit length."""


class FaceModels(Protocol):
    """A detector and an embedder, on Triton servers (`TritonFaceModels`) or in this process.

    Every call may raise InferenceError.
    """

    def detector_info(self) -> DetectorInfo:
        """Return the properties of the detector."""

    def embedder_info(self) -> EmbedderInfo:
        """Return the properties of the embedder."""

    def detect(self, image: NDArray[np.uint8], *, deadline_s: float | None = None) -> DetectorResult:
        """Find faces in an image [H,W,3] uint8 RGB; see `TritonFaceModels.detect`."""

    def embed(self, faces: NDArray[np.uint8], *, deadline_s: float | None = None) -> EmbedderResult:
        """Embed aligned faces [N,112,112,3] uint8 RGB; see `TritonFaceModels.embed`."""


class TritonFaceModels:
    """The models `face_detection` and `face_recognition` on Triton servers; thread-safe.

    Parameters
    ----------
    client
        Runs the models. It may be shared with other analyses.
    """

    def __init__(self, client: TritonClient) -> None:
        self.client = client

    def detect(self, image: NDArray[np.uint8], *, deadline_s: float | None = None) -> DetectorResult:
        """Find faces in one image or a batch of equal size.

        Parameters
        ----------
        image
            [H,W,3] or [N,H,W,3] uint8 RGB, H and W multiples of 32. An array from `frame_buffer` travels through
            shared memory.
        deadline_s
            Instead of the client's.

        Returns
        -------
        Values [N,K,15] in pixels of that image (N is 1 for a single one), for `detection.decode`.

        Raises
        ------
        InferenceError
            One of its subclasses.
        """
        batch = image[None] if image.ndim == 3 else image
        _check_pixels(batch, "images", "[N,H,W,3] uint8 with H and W multiples of 32")
        if batch.shape[1] % STRIDE or batch.shape[2] % STRIDE or not batch.size:
            size = f"{batch.shape[2]}x{batch.shape[1]}"
            msg = f"images of {size} cannot be analysed; sides must be multiples of {STRIDE}"
            raise InferenceRejected(msg)
        count = len(batch)
        result = self.client.infer(
            DETECTION,
            {"image": batch},
            deadline_s,
            expect=lambda info: {"detections": (count, _detector(info).top_k, ROW)},
        )
        return InferenceResult(result.values["detections"], _detector(result.info), result.endpoint)

    def embed(self, faces: NDArray[np.uint8], *, deadline_s: float | None = None) -> EmbedderResult:
        """Embed aligned faces: in one request, or in several when there are more than the model takes at once.

        Parameters
        ----------
        faces
            [N,112,112,3] uint8 RGB; N may be 0.
        deadline_s
            Instead of the client's.

        Returns
        -------
        Values [N,D], rows of unit length.

        Raises
        ------
        InferenceError
            One of its subclasses.
        """
        _check_pixels(faces, "faces", f"[N,{CROP},{CROP},3] uint8")
        if faces.shape[1:3] != (CROP, CROP):
            msg = f"faces of {faces.shape[2]}x{faces.shape[1]} cannot be embedded; align them to {CROP}x{CROP}"
            raise InferenceRejected(msg)
        count = len(faces)
        result = self.client.infer(
            RECOGNITION,
            {"face": faces},
            deadline_s,
            expect=lambda info: {"embedding": (count, _embedder(info).embedding_size)},
        )
        return InferenceResult(result.values["embedding"], _embedder(result.info), result.endpoint)

    def detector_info(self) -> DetectorInfo:
        """Return the properties of the detector on the first endpoint that works; raises InferenceError."""
        return self.client.read_info(DETECTION, _detector)

    def embedder_info(self) -> EmbedderInfo:
        """Return the properties of the embedder on the first endpoint that works; raises InferenceError."""
        return self.client.read_info(RECOGNITION, _embedder)

    def ready(self, *, deadline_s: float = 1.0) -> bool:
        """Return whether at least one endpoint serves both models now; asks past circuit breakers."""
        return self.client.ready((DETECTION, RECOGNITION), deadline_s=deadline_s)

    def frame_buffer(self, height: int, width: int) -> NDArray[np.uint8]:
        """Return an array to write an image [height,width,3] into, which `detect` does not copy where it can."""
        return self.client.frame_buffer(height, width)

    def close(self) -> None:
        """Close the client and its connections."""
        self.client.close()


@lru_cache(maxsize=16)
def _detector(info: ModelInfo) -> DetectorInfo:
    return detector_info(info.parameters, dims=info.input_dims("image"))


@lru_cache(maxsize=16)
def _embedder(info: ModelInfo) -> EmbedderInfo:
    return embedder_info(info.parameters)


def _check_pixels(batch: NDArray[np.uint8], what: str, expected: str) -> None:
    if batch.ndim != 4 or batch.shape[3] != 3 or batch.dtype != np.uint8:
        msg = f"{what} of shape {list(batch.shape)}, {batch.dtype}, cannot be sent; {expected} is expected"
        raise InferenceRejected(msg)
