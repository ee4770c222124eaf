"""Small networks with random weights in the layouts of public exports, in place of InsightFace's own files.

Only the layout is theirs: names, shapes, the way heads are arranged, the operators at both ends. The insides are small.
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from vigil_models import catalogue
from vigil_models.catalogue import Model


@dataclass
class Net:
    """A graph being written."""

    seed: int = 0
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def op(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        name = output or f"{len(self.nodes)}_{kind}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def const(self, values: object, dtype: type = np.float32) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def conv(
        self, source: str, inside: int, outside: int, *, stride: int = 1, kernel: int = 3, gain: float = 1.0
    ) -> str:
        scale = gain * np.sqrt(2 / (inside * kernel * kernel))
        weights = self.const(self.rng.normal(0, scale, (outside, inside, kernel, kernel)))
        bias = self.const(self.rng.normal(0, 0.1, outside))
        pads = [kernel // 2] * 4
        return self.op("Conv", source, weights, bias, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=pads)

    def save(
        self, path: Path, inputs: list[onnx.ValueInfoProto], outputs: list[onnx.ValueInfoProto], opset: int = 11
    ) -> Path:
        graph = helper.make_graph(self.nodes, "net", inputs, outputs, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=6)
        onnx.checker.check_model(model)
        path.write_bytes(model.SerializeToString())
        return path


def _info(name: str, shape: list[int | str]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _pyramid(net: Net, source: str) -> list[str]:
    x = net.op("Relu", net.conv(source, 3, 8, stride=2, gain=0.7))
    x = net.op("Relu", net.conv(x, 8, 12, stride=2))
    levels = []
    for channels in (12, 16, 16):
        x = net.op("Relu", net.conv(x, channels, 16, stride=2))
        levels.append(x)
    return levels


_HEADS = (("score", 1), ("box", 4), ("landmark", 10))


def scrfd_flattened(path: Path, *, seed: int = 0, box_columns: int = 4, anchors: int = 2) -> Path:
    """InsightFace's own export (det_10g, det_500m, scrfd_10g_bnkps): rows flattened over the batch."""
    net = Net(seed)
    levels = _pyramid(net, "input.1")
    outputs = []
    for (kind, columns), name in zip(_HEADS, ("446", "449", "452"), strict=True):
        width = box_columns if kind == "box" else columns
        for index, level in enumerate(levels):
            raw = net.conv(level, 16, anchors * width, gain=0.5)
            if kind == "box":
                raw = net.op("Mul", raw, net.const(1.3))
            rows = net.op("Transpose", raw, perm=[2, 3, 0, 1])
            out = f"{int(name) + 20 * index}"
            flat = net.op("Reshape", rows, net.const([-1, width], np.int64), output="" if kind == "score" else out)
            if kind == "score":
                net.op("Sigmoid", flat, output=out)
            outputs.append(_info(out, ["rows", width]))
    return net.save(path, [_info("input.1", [1, 3, "?", "?"])], outputs)


def scrfd_levels(path: Path, *, seed: int = 0, size: int | str = 640) -> Path:
    """Another exporter's SCRFD: [1,N,C] per level, the batch computed from the shape, the input's size fixed."""
    net = Net(seed)
    levels = _pyramid(net, "images")
    outputs: list[onnx.ValueInfoProto] = []
    for kind, columns in _HEADS:
        for level in levels:
            raw = net.conv(level, 16, 2 * columns, gain=0.5)
            batch = net.op("Gather", net.op("Shape", raw), net.const(0, np.int64), axis=0)
            batch = net.op("Unsqueeze", batch, axes=[0])
            shape = net.op("Concat", batch, net.const([-1], np.int64), net.const([columns], np.int64), axis=0)
            rows = net.op("Transpose", raw, perm=[0, 2, 3, 1])
            out = f"out{len(outputs)}"
            flat = net.op("Reshape", rows, shape, output="" if kind == "score" else out)
            if kind == "score":
                net.op("Sigmoid", flat, output=out)
            outputs.append(_info(out, [1, "rows", columns]))
    return net.save(path, [_info("images", [1, 3, size, size])], outputs)


def yunet(path: Path, *, seed: int = 0, one: int = 1) -> Path:
    """OpenCV Zoo's YuNet: class and objectness apart, `Reshape` constants that hold the batch at one."""
    net = Net(seed)
    levels = _pyramid(net, "input")
    outputs = []
    for kind, columns in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
        for stride, level in zip((8, 16, 32), levels, strict=True):
            rows = net.op("Transpose", net.conv(level, 16, columns, gain=0.05), perm=[0, 2, 3, 1])
            out = f"{kind}_{stride}"
            score = kind in {"cls", "obj"}
            flat = net.op("Reshape", rows, net.const([one, -1, columns], np.int64), output="" if score else out)
            if score:
                net.op("Sigmoid", flat, output=out)
            outputs.append(_info(out, [one, "rows", columns]))
    return net.save(path, [_info("input", [one, 3, 640, 640])], outputs)


def arcface(path: Path, *, seed: int = 0, size: int = 512, batch: int | str = "None", final: str = "683") -> Path:
    """InsightFace's ResNets (w600k_r50, glintr100): residual blocks with PRelu, Flatten, Gemm, BatchNormalization."""
    net = Net(seed)
    x = net.conv("input.1", 3, 8)
    x = net.op("PRelu", x, net.const(np.full((8, 1, 1), 0.25)))
    for inside in (8, 16, 16, 16):
        normal = _batch_norm(net, x, inside)
        y = net.op("PRelu", net.conv(normal, inside, 16), net.const(np.full((16, 1, 1), 0.2)))
        y = net.conv(y, 16, 16, stride=2)
        x = net.op("Add", y, net.conv(x, inside, 16, stride=2, kernel=1))
    flat = net.op("Flatten", _batch_norm(net, x, 16), axis=1)
    weights = net.const(net.rng.normal(0, 0.03, (size, 16 * 7 * 7)))
    full = net.op("Gemm", flat, weights, net.const(np.zeros(size)), transB=1)
    _batch_norm(net, full, size, output=final)
    return net.save(path, [_info("input.1", [batch, 3, 112, 112])], [_info(final, [1 if batch == 1 else "None", size])])


def mobilefacenet(path: Path, *, seed: int = 0, size: int = 512) -> Path:
    """MobileFaceNet as some export it: the last `Reshape` is to [1,-1]."""
    net = Net(seed)
    x = net.conv("input", 3, 8, stride=2)
    x = net.op("Clip", x, net.const(0), net.const(6))
    x = net.op("Relu", net.conv(x, 8, 16, stride=2))
    weights = net.const(net.rng.normal(0, 0.02, (size, 16, 28, 28)))
    x = net.op("Conv", x, weights, kernel_shape=[28, 28])
    net.op("Reshape", x, net.const([1, -1], np.int64), output="output")
    return net.save(path, [_info("input", [1, 3, 112, 112])], [_info("output", [1, size])])


def _batch_norm(net: Net, source: str, channels: int, *, output: str = "") -> str:
    gamma, beta = net.const(net.rng.uniform(0.5, 1.5, channels)), net.const(net.rng.normal(0, 0.1, channels))
    mean, variance = net.const(net.rng.normal(0, 0.1, channels)), net.const(net.rng.uniform(0.5, 1.5, channels))
    return net.op("BatchNormalization", source, gamma, beta, mean, variance, output=output, epsilon=1e-5)


def sums(folder: Path) -> dict[str, str]:
    """File name to sha256 of every net in a folder, to export them in place of the catalogue's files."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.onnx")}


def entry(name: str) -> Model:
    """Find the catalogue's entry of that name."""
    return catalogue.load().models[name]


def write_pack(name: str, folder: Path) -> dict[str, str]:
    """Write nets in the layouts of a pack's two files and return their sums."""
    folder.mkdir(parents=True, exist_ok=True)
    pack = catalogue.load().pack(name)
    scrfd_flattened(folder / pack.detector.file, seed=1)
    arcface(folder / pack.embedder.file, seed=2)
    return sums(folder)
