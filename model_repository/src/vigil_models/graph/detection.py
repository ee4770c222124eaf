"""The served detector: `image` UINT8 [N,H,W,3] RGB → `detections` FP32 [N,K,15], best first.

Of all anchors only the scores are read; boxes and landmarks are decoded for the best K alone, whose position in the
image is computed from their index. So post-processing costs a few hundredths of a millisecond, and a response has
7.5 KiB instead of 1 MB.

The arithmetic of the decoding is in float64. On a CPU 128 rows cost nothing; and TensorRT, which has no float64,
leaves it to the CUDA provider, where coordinates keep their digits: in fp16 a coordinate above 1024 has steps of one
pixel.
"""

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper

from vigil_models.catalogue import Detector
from vigil_models.graph import heads, preprocess
from vigil_models.graph.builder import Builder
from vigil_models.graph.clean import drop_unreachable, plain
from vigil_models.graph.source import Source

OUTPUT = "detections"

ROW = 15
"""x1, y1, x2, y2, score, then x and y of five landmarks in the order of the ArcFace template, in input pixels."""


@dataclass(frozen=True)
class _Anchors:
    """Tensors [N,K,1] with the positions of the best K anchors."""

    index: str
    """int64, in the order of the concatenated levels; never beyond the last anchor."""
    x: str
    """float64, column of the cell."""
    y: str
    """float64, row of the cell."""
    stride: str
    """float64, pixels per cell."""


def export(detector: Detector, source: Source) -> onnx.ModelProto:
    """Return the graph to serve, built from the file.

    Raises
    ------
    WrongLayout
        When the file's heads are not of the catalogue's layout.
    """
    model = plain(source.path, source.proto)
    graph = model.graph
    levels = heads.find(detector, graph, source.path)
    preprocess.fold(graph, detector, source.input_name, ("H", "W"))
    builder = Builder(graph, "decode")
    scores = _scores(builder, levels)
    padded = builder.op("Pad", scores, builder.ints(0, 0, 0, detector.top_k))
    best, index = builder.ops("TopK", padded, builder.ints(detector.top_k), outputs=2, axis=1, largest=1, sorted=1)
    anchors = _locate(builder, detector, levels, scores, index)
    boxes = _gather(builder, [level.boxes.map for level in levels], 4, anchors.index)
    landmarks = _gather(builder, [level.landmarks.map for level in levels], 10, anchors.index)
    _rows(builder, detector, anchors, best, boxes, landmarks)
    builder.append()
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["N", detector.top_k, ROW]))
    drop_unreachable(graph)
    return model


def _scores(builder: Builder, levels: list[heads.Level]) -> str:
    """Return all anchors' scores, [N, anchors of all levels], level by level, row by row."""
    kinds = []
    for kind in range(len(levels[0].scores)):
        maps = [level.scores[kind] for level in levels]
        flat = [builder.op("Reshape", _channels_last(builder, head.map), builder.ints(0, -1)) for head in maps]
        joined = builder.op("Concat", *flat, axis=1)
        kinds.append(builder.op("Sigmoid", joined) if maps[0].sigmoid else joined)
    if len(kinds) == 1:
        return kinds[0]
    return builder.op("Sqrt", builder.op("Mul", *kinds))


def _channels_last(builder: Builder, name: str) -> str:
    return builder.op("Transpose", name, perm=[0, 2, 3, 1])


def _gather(builder: Builder, maps: list[str], columns: int, index: str) -> str:
    """Return the chosen anchors' raw values as float64 [N,K,columns]."""
    shape = builder.ints(0, -1, columns)
    rows = [builder.op("Reshape", _channels_last(builder, name), shape) for name in maps]
    chosen = builder.op("GatherND", builder.op("Concat", *rows, axis=1), index, batch_dims=1)
    return builder.op("Cast", chosen, to=TensorProto.DOUBLE)


def _locate(builder: Builder, detector: Detector, levels: list[heads.Level], scores: str, index: str) -> _Anchors:
    zero, one, two, three = (builder.ints(value) for value in range(4))
    total = builder.op("Slice", builder.op("Shape", scores), one, two)
    # An image may have fewer anchors than K; the rows of padding, whose index is beyond, are blanked at the end.
    inside = builder.op("Min", index, builder.op("Sub", total, one))
    widths, counts = [], []
    for level in levels:
        shape = builder.op("Shape", level.boxes.map)
        width = builder.op("Slice", shape, three, builder.ints(4))
        widths.append(width)
        cells = builder.op("Mul", width, builder.op("Slice", shape, two, three))
        counts.append(builder.op("Mul", cells, builder.ints(detector.anchors)))
    starts = [zero]
    for count in counts[:-1]:
        starts.append(builder.op("Add", starts[-1], count))
    which = builder.op("Sub", inside, inside)
    for start in starts[1:]:
        beyond = builder.op("Not", builder.op("Less", inside, start))
        which = builder.op("Add", which, builder.op("Cast", beyond, to=TensorProto.INT64))
    start = builder.op("Gather", builder.op("Concat", *starts, axis=0), which)
    width = builder.op("Gather", builder.op("Concat", *widths, axis=0), which)
    cell = builder.op("Div", builder.op("Sub", inside, start), builder.ints(detector.anchors))
    y = builder.op("Div", cell, width)
    x = builder.op("Sub", cell, builder.op("Mul", y, width))
    stride = builder.op("Gather", builder.const(detector.strides, np.float64), which)
    column = builder.ints(2)
    return _Anchors(
        index=builder.op("Unsqueeze", inside, column),
        x=builder.op("Unsqueeze", builder.op("Cast", x, to=TensorProto.DOUBLE), column),
        y=builder.op("Unsqueeze", builder.op("Cast", y, to=TensorProto.DOUBLE), column),
        stride=builder.op("Unsqueeze", stride, column),
    )


def _rows(builder: Builder, detector: Detector, anchors: _Anchors, best: str, boxes: str, landmarks: str) -> None:
    if detector.layout == "yunet":
        corners = _centre_and_size(builder, anchors, boxes)
    else:
        corners = _four_distances(builder, anchors, boxes)
    cells = builder.op("Concat", *[anchors.x, anchors.y] * 5, axis=2)
    points = builder.op("Mul", builder.op("Add", landmarks, cells), anchors.stride)
    column = builder.op("Unsqueeze", best, builder.ints(2))
    score = builder.op("Cast", column, to=TensorProto.DOUBLE)
    rows = builder.op("Concat", corners, score, points, axis=2)
    real = builder.op("Greater", column, builder.const(0, np.float32))
    builder.op("Cast", builder.op("Where", real, rows, builder.const(0, np.float64)), to=TensorProto.FLOAT)
    builder.rename_last(OUTPUT)


def _four_distances(builder: Builder, anchors: _Anchors, boxes: str) -> str:
    """Decode SCRFD: left, top, right, bottom distances from the cell, in strides (insightface `distance2bbox`)."""
    signs = builder.const([-1, -1, 1, 1], np.float64)
    cells = builder.op("Concat", *[anchors.x, anchors.y] * 2, axis=2)
    return builder.op("Mul", builder.op("Add", cells, builder.op("Mul", boxes, signs)), anchors.stride)


def _centre_and_size(builder: Builder, anchors: _Anchors, boxes: str) -> str:
    """Decode YuNet: centre (cell + d)·s and size exp·s (OpenCV `FaceDetectorYN`)."""
    shift, size = builder.ops("Split", boxes, builder.ints(2, 2), outputs=2, axis=2)
    centre = builder.op("Add", builder.op("Concat", anchors.x, anchors.y, axis=2), shift)
    half = builder.op("Mul", builder.op("Exp", size), builder.const(0.5, np.float64))
    low, high = builder.op("Sub", centre, half), builder.op("Add", centre, half)
    return builder.op("Mul", builder.op("Concat", low, high, axis=2), anchors.stride)
