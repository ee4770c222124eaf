"""The outputs of the original file: ONNX Runtime on the unchanged file, and decoding in NumPy.

Nothing here shares arithmetic with the graphs that `vigil_models.graph` builds, so that a mistake is not repeated:
rows come from the outputs the file itself names, anchors from a grid, everything is decoded for every anchor, and
images go in one at a time.
"""

from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from vigil_models.catalogue import Detector, Embedder
from vigil_models.errors import WrongLayout
from vigil_models.graph.clean import make_runnable
from vigil_models.graph.heads import output_names
from vigil_models.graph.source import Source


def session(data: bytes) -> ort.InferenceSession:
    """Return a session of a model on the CPU, with little logging."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])


class Original:
    """The original file, run on one image at a time."""

    def __init__(self, model: Detector | Embedder, source: Source) -> None:
        self._model = model
        self._source = source
        self._fixed = session(_runnable(source, free_size=False))
        self._free: ort.InferenceSession | None = None

    @property
    def fixed_size(self) -> tuple[int, int] | None:
        """Height and width that the file requires; None when it takes any."""
        height, width = self._source.input_shape[2:]
        return (height, width) if height and width else None

    def run(self, image: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """Return the file's own outputs for an image [H,W,3] uint8 RGB.

        For another size than a fixed one, the same graph runs with the two numbers of its input made free.
        """
        model = self._model
        pixels = image if model.channels == "RGB" else image[:, :, ::-1]
        chw = (pixels.transpose(2, 0, 1)[None].astype(np.float32) - np.float32(model.mean)) / np.float32(model.std)
        runner = self._fixed
        if self.fixed_size not in {None, image.shape[:2]}:
            if self._free is None:
                self._free = session(_runnable(self._source, free_size=True))
            runner = self._free
        outputs = runner.run(list(self._source.output_names), {self._source.input_name: np.ascontiguousarray(chw)})
        return [np.asarray(output) for output in outputs]


def _runnable(source: Source, *, free_size: bool) -> bytes:
    model = onnx.load_model_from_string(source.data)
    make_runnable(model.graph)
    if free_size:
        shape = next(value for value in model.graph.input if value.name == source.input_name).type.tensor_type.shape
        shape.dim[2].dim_param, shape.dim[3].dim_param = "height", "width"
        for value in model.graph.output:
            value.type.tensor_type.ClearField("shape")
        del model.graph.value_info[:]
    return model.SerializeToString()


def embed(embedder: Embedder, original: Original, source: Source, face: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the embedding of an aligned face, made with the original file.

    Parameters
    ----------
    face
        [112,112,3] uint8 RGB.

    Returns
    -------
    [D] float64 of length 1.

    Raises
    ------
    WrongLayout
        When the file's embedding has another size than the catalogue's.
    """
    raw = original.run(face)[0].astype(np.float64).ravel()
    if raw.shape != (embedder.embedding_size,):
        raise WrongLayout(
            source.path, f"an embedding of {raw.size} numbers", f"{embedder.embedding_size} ({embedder.name})"
        )
    length = np.linalg.norm(raw)
    return raw / length if length else raw


def detect(detector: Detector, original: Original, source: Source, image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return every anchor of an image, decoded from the original file's outputs.

    Parameters
    ----------
    image
        [H,W,3] uint8 RGB; height and width multiples of the largest stride.

    Returns
    -------
    [anchors, 15] float64, in the file's order: box, score, landmarks, in pixels.

    Raises
    ------
    WrongLayout
        When an output has another number of rows or columns than the layout's.
    """
    values = dict(zip(source.output_names, original.run(image), strict=True))
    height, width = image.shape[:2]
    levels = []
    outputs = output_names(detector, source.output_names, source.path)
    for stride, names in zip(detector.strides, outputs, strict=True):
        rows = height // stride * (width // stride) * detector.anchors
        scores = [_rows(source, values, name, rows, 1) for name in names["scores"]]
        boxes = _rows(source, values, names["boxes"][0], rows, 4)
        landmarks = _rows(source, values, names["landmarks"][0], rows, 10)
        levels.append(_decode(detector, stride, (height, width), scores, boxes, landmarks))
    return np.concatenate(levels)


def _rows(
    source: Source, values: dict[str, NDArray[np.float32]], name: str, rows: int, columns: int
) -> NDArray[np.float64]:
    output = values[name]
    if output.size != rows * columns or output.shape[-1] != columns:
        raise WrongLayout(source.path, f"output '{name}' is {list(output.shape)}", f"{rows} rows of {columns}")
    return output.reshape(rows, columns).astype(np.float64)


def _decode(
    detector: Detector,
    stride: int,
    size: tuple[int, int],
    scores: Sequence[NDArray[np.float64]],
    boxes: NDArray[np.float64],
    landmarks: NDArray[np.float64],
) -> NDArray[np.float64]:
    y, x = np.mgrid[0 : size[0] // stride, 0 : size[1] // stride]
    cells = np.repeat(np.stack([x, y], axis=-1).reshape(-1, 2), detector.anchors, axis=0).astype(np.float64)
    if detector.layout == "yunet":
        score = np.sqrt(scores[0] * scores[1])
        centre = (cells + boxes[:, :2]) * stride
        sides = np.exp(boxes[:, 2:]) * stride
        corners = np.concatenate([centre - sides / 2, centre + sides / 2], axis=1)
    else:
        score = scores[0]
        centre = cells * stride
        corners = np.concatenate([centre - boxes[:, :2] * stride, centre + boxes[:, 2:] * stride], axis=1)
    points = (landmarks.reshape(-1, 5, 2) + cells[:, None]) * stride
    return np.concatenate([corners, score, points.reshape(-1, 10)], axis=1)
