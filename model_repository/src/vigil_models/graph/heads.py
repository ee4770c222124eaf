"""Finding a detector's heads: the raw maps in the graph, before an export rearranged them.

Every export ends alike: a convolution's map [N, C, H, W], then `Transpose` and `Reshape` to rows, then perhaps
`Sigmoid`. The graph is cut at that map. So it does not matter that InsightFace's exports flatten rows over the batch
(`Transpose[2,3,0,1]`, `Reshape[-1,C]`), which, with the batch merely renamed, interleaves the rows of different
images.
"""

from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import numpy_helper

from vigil_models.catalogue import Detector
from vigil_models.errors import WrongLayout

_TO_ROWS = ([0, 2, 3, 1], [2, 3, 0, 1])


@dataclass(frozen=True)
class Head:
    """One raw map of the network."""

    map: str
    """Name of the tensor [N, C, H, W]."""
    sigmoid: bool
    """Whether the export puts a sigmoid behind it."""
    output: str
    """Name of the original output that it fed."""


@dataclass(frozen=True)
class Level:
    """The heads of one stride."""

    stride: int
    scores: tuple[Head, ...]
    """SCRFD: one. YuNet: class and objectness, whose geometric mean is the score."""
    boxes: Head
    landmarks: Head


def output_names(detector: Detector, names: tuple[str, ...], path: Path) -> list[dict[str, tuple[str, ...]]]:
    """Return a file's outputs by stride: `scores`, `boxes`, `landmarks`, by the rule of the layout.

    Raises
    ------
    WrongLayout
        When number or names are not the layout's.
    """
    strides = detector.strides
    if detector.layout == "yunet":
        wanted = [f"{kind}_{stride}" for kind in ("cls", "obj", "bbox", "kps") for stride in strides]
        if set(wanted) != set(names):
            raise WrongLayout(path, f"outputs {', '.join(names)}", f"YuNet's outputs {', '.join(wanted)}")
        return [
            {"scores": (f"cls_{s}", f"obj_{s}"), "boxes": (f"bbox_{s}",), "landmarks": (f"kps_{s}",)} for s in strides
        ]
    count = len(strides)
    if len(names) != 3 * count:
        raise WrongLayout(
            path,
            f"{len(names)} outputs ({', '.join(names)})",
            f"SCRFD's {3 * count}: scores, boxes and landmarks for strides {', '.join(map(str, strides))}",
        )
    return [
        {"scores": (names[i],), "boxes": (names[count + i],), "landmarks": (names[2 * count + i],)}
        for i in range(count)
    ]


def find(detector: Detector, graph: onnx.GraphProto, path: Path) -> list[Level]:
    """Return the raw map of every output, by stride.

    Raises
    ------
    WrongLayout
        When an output is not made of a map by transpose, reshape and perhaps sigmoid, or has other columns.
    """
    makers = {name: node for node in graph.node for name in node.output}
    shapes = {initializer.name: initializer for initializer in graph.initializer}
    levels = []
    outputs = output_names(detector, tuple(value.name for value in graph.output), path)
    for stride, names in zip(detector.strides, outputs, strict=True):
        scores = tuple(_walk(name, 1, makers, shapes, path) for name in names["scores"])
        boxes = _walk(names["boxes"][0], 4, makers, shapes, path)
        landmarks = _walk(names["landmarks"][0], 10, makers, shapes, path)
        for head in (boxes, landmarks):
            if head.sigmoid:
                raise WrongLayout(path, f"output '{head.output}' ends in a sigmoid", "distances, unbounded")
        levels.append(Level(stride, scores, boxes, landmarks))
    return levels


def _walk(
    output: str,
    columns: int,
    makers: dict[str, onnx.NodeProto],
    shapes: dict[str, onnx.TensorProto],
    path: Path,
) -> Head:
    name, sigmoid = output, False
    for _ in range(4):
        node = makers.get(name)
        kind = node.op_type if node is not None else "nothing"
        if node is None or kind not in {"Sigmoid", "Reshape", "Transpose"}:
            break
        if kind == "Reshape":
            _check_columns(output, columns, node, shapes, path)
        name, sigmoid = node.input[0], sigmoid or kind == "Sigmoid"
        if kind == "Transpose":
            perm = next((list(attribute.ints) for attribute in node.attribute if attribute.name == "perm"), [])
            if perm not in _TO_ROWS:
                raise WrongLayout(path, f"output '{output}' is transposed by {perm}", "[0,2,3,1] or [2,3,0,1]")
            return Head(name, sigmoid, output)
    raise WrongLayout(
        path, f"output '{output}' is made by {kind}", "a map, then Transpose, Reshape and perhaps Sigmoid"
    )


def _check_columns(
    output: str, columns: int, node: onnx.NodeProto, shapes: dict[str, onnx.TensorProto], path: Path
) -> None:
    shape = shapes.get(node.input[1])
    if shape is None:
        return  # computed from the batch at run time; the proof compares the rows
    last = int(numpy_helper.to_array(shape)[-1])
    if last != columns:
        raise WrongLayout(path, f"output '{output}' has rows of {last}", f"rows of {columns}")
