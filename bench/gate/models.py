"""An exported pack run in this process, through the interface of `vigil_vision.faces.models`."""

import json
from functools import cached_property
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from vigil_vision.faces.model_info import DetectorInfo, EmbedderInfo, detector_info, embedder_info
from vigil_vision.faces.models import DetectorResult, EmbedderResult
from vigil_vision.triton import InferenceResult


class LocalModels:
    """The detector and the embedder of an exported repository, on one core and without a server.

    Parameters
    ----------
    repository
        Of `vigil-models export --target cpu-python`.
    """

    def __init__(self, repository: Path) -> None:
        self._repository = repository
        manifest = json.loads((repository / "manifest.json").read_text())
        self._parameters = {model["name"]: model["parameters"] for model in manifest["models"]}
        self._detector = self._session("face_detection")
        self._embedder = self._session("face_recognition")
        self.embedded = 0
        """Faces embedded so far."""

    def _session(self, name: str) -> ort.InferenceSession:
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        path = self._repository / name / "1" / "model.onnx"
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    @cached_property
    def _detector_info(self) -> DetectorInfo:
        return detector_info(self._parameters["face_detection"], dims=(-1, -1, 3))

    @cached_property
    def _embedder_info(self) -> EmbedderInfo:
        return embedder_info(self._parameters["face_recognition"])

    def detector_info(self) -> DetectorInfo:
        """Return the properties of the detector."""
        return self._detector_info

    def embedder_info(self) -> EmbedderInfo:
        """Return the properties of the embedder."""
        return self._embedder_info

    def detect(self, image: NDArray[np.uint8], *, deadline_s: float | None = None) -> DetectorResult:  # noqa: ARG002
        """Find faces in an image [H,W,3] uint8 RGB."""
        (rows,) = self._detector.run(["detections"], {"image": image[None]})
        return InferenceResult(rows, self._detector_info, "local:0")

    def embed(self, faces: NDArray[np.uint8], *, deadline_s: float | None = None) -> EmbedderResult:  # noqa: ARG002
        """Embed aligned faces [N,112,112,3] uint8 RGB."""
        self.embedded += len(faces)
        (vectors,) = self._embedder.run(["embedding"], {"face": faces})
        return InferenceResult(vectors, self._embedder_info, "local:0")
