"""The exported models in this process, for commands that assess a few photos.

These are the files that Triton serves, called by the same vision code.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vigil_models.repository.manifest import read
from vigil_vision.faces.model_info import (
    DETECTION,
    RECOGNITION,
    DetectorInfo,
    EmbedderInfo,
    detector_info,
    embedder_info,
)
from vigil_vision.faces.models import DetectorResult, EmbedderResult, FaceModels
from vigil_vision.triton import InferenceResult

HERE = "in-process"
VERSION = "1"


class LocalInference:
    """The models, run by ONNX Runtime in this process.

    Parameters
    ----------
    repository
        As `vigil-models export` writes it.
    """

    def __init__(self, repository: Path) -> None:
        parameters: dict[str, dict[str, str]] = {model.name: model.parameters for model in read(repository).models}
        self._detector = _session(repository / DETECTION / VERSION / "model.onnx")
        self._embedder = _session(repository / RECOGNITION / VERSION / "model.onnx")
        dims = tuple(side if isinstance(side, int) else -1 for side in self._detector.get_inputs()[0].shape[1:])
        self._detector_info = detector_info(parameters[DETECTION], dims=dims)
        self._embedder_info = embedder_info(parameters[RECOGNITION])

    def detector_info(self) -> DetectorInfo:
        """Return the model info of the detector."""
        return self._detector_info

    def embedder_info(self) -> EmbedderInfo:
        """Return the model info of the embedder."""
        return self._embedder_info

    def detect(self, image: NDArray[np.uint8], *, deadline_s: float | None = None) -> DetectorResult:
        """Return the faces of an image [H,W,3] uint8 RGB; as `FaceModels.detect`."""
        del deadline_s
        values = self._detector.run(None, {self._detector.get_inputs()[0].name: image[None]})[0]
        return InferenceResult(values, self._detector_info, HERE)

    def embed(self, faces: NDArray[np.uint8], *, deadline_s: float | None = None) -> EmbedderResult:
        """Return the embeddings of aligned faces [N,112,112,3] uint8 RGB; as `FaceModels.embed`."""
        del deadline_s
        values = self._embedder.run(None, {self._embedder.get_inputs()[0].name: faces})[0]
        return InferenceResult(values, self._embedder_info, HERE)


@contextmanager
def local_inference(repository: Path) -> Iterator[FaceModels]:
    """Open exported models for `vigil_vision.faces.enrolment`."""
    yield LocalInference(repository)


def _session(path: Path) -> Any:  # noqa: ANN401 - onnxruntime has no types
    import onnxruntime  # after vigil_models, which sets what it reads on import

    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
