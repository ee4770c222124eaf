"""The original networks as a plain program uses them: preprocessing and decoding in OpenCV and NumPy.

This is the other side of the comparison and therefore shares nothing with `vigil_vision` or the exporter.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

Array = NDArray[np.float32]
Image = NDArray[Any]
"""OpenCV's images: [H,W,3] uint8, BGR. Its stubs do not have the element type."""

STRIDES = (8, 16, 32)
TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]], np.float32
)
"""ArcFace's landmarks in a crop of 112 x 112; insightface `utils/face_align.py`."""


@dataclass(frozen=True, slots=True)
class Face:
    """Box [4] and landmarks [5,2] in pixels of the network's input, and its score."""

    box: Array
    landmarks: Array
    score: float


def one_thread_session(path: Path) -> ort.InferenceSession:
    """Return a session for one core: no threads of its own, no spinning."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def default_session(path: Path) -> ort.InferenceSession:
    """Return a session as the first page of ONNX Runtime's manual makes it."""
    return ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def letterbox(image: Image, width: int, height: int) -> Image:
    """Scale a BGR image into width x height, black at the right and the bottom."""
    scale = min(width / image.shape[1], height / image.shape[0])
    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    scaled = image if size == (image.shape[1], image.shape[0]) else cv2.resize(image, size)
    result = np.zeros((height, width, 3), np.uint8)
    result[: size[1], : size[0]] = scaled
    return result


def _blob(image: Image, divisor: float = 1, mean: float = 0, *, swap: bool = False) -> Array:
    """Convert [H,W,3] uint8 to [1,3,H,W] float32: (x - mean) / divisor, red and blue swapped if `swap`."""
    blob = cv2.dnn.blobFromImage(image, 1 / divisor, (0, 0), (mean, mean, mean), swapRB=swap)
    return np.asarray(blob, np.float32)


def scrfd_input(image: Image) -> Array:
    """Convert BGR uint8 to SCRFD's input: [1,3,H,W], RGB, (x - 127.5) / 128."""
    return _blob(image, 128, 127.5, swap=True)


def yunet_input(image: Image) -> Array:
    """Convert BGR uint8 to YuNet's input: [1,3,H,W], BGR, 0 to 255."""
    return _blob(image)


def scrfd_faces(outputs: list[Array], width: int, threshold: float = 0.5) -> list[Face]:
    """Decode SCRFD: outputs are scores, boxes, landmarks for each stride, two anchors a cell."""
    faces = []
    for index, stride in enumerate(STRIDES):
        scores = outputs[index].reshape(-1)
        found = np.flatnonzero(scores >= threshold)
        if not len(found):
            continue
        cells = found // 2
        columns = width // stride
        centres = np.stack([cells % columns, cells // columns], axis=1).astype(np.float32) * stride
        distances = outputs[index + 3].reshape(-1, 4)[found] * stride
        boxes = np.concatenate([centres - distances[:, :2], centres + distances[:, 2:]], axis=1)
        landmarks = centres[:, None] + outputs[index + 6].reshape(-1, 5, 2)[found] * stride
        faces += [Face(*face) for face in zip(boxes, landmarks, scores[found].tolist(), strict=True)]
    return _suppress(faces, 0.4)


def yunet_faces(outputs: list[Array], width: int, threshold: float = 0.7) -> list[Face]:
    """Decode YuNet: cls, obj, bbox, kps for each stride, one anchor a cell, score the geometric mean of cls and obj."""
    faces = []
    for index, stride in enumerate(STRIDES):
        both = outputs[index].reshape(-1) * outputs[index + 3].reshape(-1)
        found = np.flatnonzero(both >= threshold * threshold)
        if not len(found):
            continue
        columns = width // stride
        cells = np.stack([found % columns, found // columns], axis=1).astype(np.float32)
        box = outputs[index + 6].reshape(-1, 4)[found]
        centres, sizes = (cells + box[:, :2]) * stride, np.exp(box[:, 2:]) * stride
        boxes = np.concatenate([centres - sizes / 2, centres + sizes / 2], axis=1)
        landmarks = (cells[:, None] + outputs[index + 9].reshape(-1, 5, 2)[found]) * stride
        faces += [Face(*face) for face in zip(boxes, landmarks, np.sqrt(both[found]).tolist(), strict=True)]
    return _suppress(faces, 0.3)


def _suppress(faces: list[Face], overlap: float) -> list[Face]:
    boxes = [(*face.box[:2].tolist(), *(face.box[2:] - face.box[:2]).tolist()) for face in faces]
    kept = cv2.dnn.NMSBoxes(boxes, [face.score for face in faces], 0.0, overlap) if faces else []
    return [faces[index] for index in kept]


def align(image: Image, face: Face) -> Image:
    """Cut the face out with estimateAffinePartial2D and warpAffine, [112,112,3] BGR."""
    matrix, _ = cv2.estimateAffinePartial2D(face.landmarks, TEMPLATE, method=cv2.LMEDS)
    return cv2.warpAffine(image, matrix, (112, 112))


def arcface_input(crop: Image) -> Array:
    """Convert a BGR crop to the input of ArcFace nets: RGB, (x - 127.5) / 127.5."""
    return _blob(crop, 127.5, 127.5, swap=True)


def sface_input(crop: Image) -> Array:
    """Convert a BGR crop to SFace's input: RGB, 0 to 255."""
    return _blob(crop, swap=True)


@dataclass(frozen=True, slots=True)
class Networks:
    """The two files of a pack with their pre- and postprocessing."""

    detector: Path
    embedder: Path
    detector_input: Callable[[Image], Array]
    faces: Callable[[list[Array], int], list[Face]]
    embedder_input: Callable[[Image], Array]


def scrfd_mobilefacenet(detector: Path, embedder: Path) -> Networks:
    """Return SCRFD with MobileFaceNet (ArcFace)."""
    return Networks(detector, embedder, scrfd_input, scrfd_faces, arcface_input)


def yunet_sface(detector: Path, embedder: Path) -> Networks:
    """Return YuNet with SFace."""
    return Networks(detector, embedder, yunet_input, yunet_faces, sface_input)


KINDS: dict[str, Callable[[Path, Path], Networks]] = {"scrfd": scrfd_mobilefacenet, "open": yunet_sface}


def unit(vector: Any) -> Array:  # noqa: ANN401 - an output of a session has no type
    """Flatten and scale to length 1."""
    flat = np.asarray(vector, np.float32).ravel()
    return flat / max(math.sqrt(float(flat @ flat)), 1e-9)
