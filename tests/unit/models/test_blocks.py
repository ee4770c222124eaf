"""Channels that are added change no result, and are added only where none can."""

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from vigil_models.graph import blocks

NODES = """
Conv image w0 b0 -> a | Relu a -> b | Conv b w1 b1 -> c | Relu c -> d | MaxPool d -> e
Conv e w2 b2 -> f | Relu f -> g | Conv g w3 b3 -> h | Add h e -> i | Conv i w4 b4 -> answer
"""
SHAPES = {"w0": (12, 3), "w1": (24, 12), "w2": (24, 24), "w3": (24, 24), "w4": (20, 24)}
ATTRIBUTES: dict[str, dict[str, Any]] = {
    "Conv": {"pads": [1] * 4},
    "MaxPool": {"kernel_shape": [2, 2], "strides": [2, 2]},
    "Concat": {"axis": 1},
}


def _net(nodes: str) -> onnx.ModelProto:
    random = np.random.default_rng(0)
    weights = []
    for name, shape in SHAPES.items():
        weights.append(numpy_helper.from_array(random.standard_normal((*shape, 3, 3), np.float32) / 9, name))
        weights.append(numpy_helper.from_array(random.standard_normal(shape[0], np.float32), f"b{name[1:]}"))
    made = []
    for line in nodes.replace("\n", "|").split("|"):
        if not line.strip():
            continue
        (kind, *inputs), output = line.split("->")[0].split(), line.split("->")[1].strip()
        made.append(helper.make_node(kind, inputs, [output], **ATTRIBUTES.get(kind, {})))
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, "H", "W"])
    answer = helper.make_tensor_value_info("answer", TensorProto.FLOAT, ["N", "C", "H2", "W2"])
    graph = helper.make_graph(made, "net", [image], [answer], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _answer(model: onnx.ModelProto) -> np.ndarray:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    image = np.random.default_rng(1).standard_normal((2, 3, 32, 48), np.float32)
    return np.asarray(session.run(None, {"image": image})[0])


def _channels(model: onnx.ModelProto) -> list[tuple[int, int]]:
    tensors = {tensor.name: tensor.dims for tensor in model.graph.initializer}
    weights = [tensors[node.input[1]] for node in model.graph.node if node.op_type == "Conv"]
    return [(dims[0], dims[1]) for dims in weights]


def test_maps_become_whole_blocks_and_the_output_stays() -> None:
    """Maps between convolutions become whole blocks, and the output stays the same."""
    model = _net(NODES)
    before = _answer(model)
    blocks.widen(model.graph)
    onnx.checker.check_model(model, full_check=True)
    assert _channels(model) == [(16, 3), (32, 16), (32, 32), (32, 32), (20, 32)]
    assert _answer(model) == pytest.approx(before, abs=1e-4)


@pytest.mark.parametrize(
    "nodes",
    [
        NODES + "| Sigmoid e -> j",  # zeros become halves
        NODES + "| Shape i -> j",  # somebody reads how many channels there are
        NODES.replace("Conv i w4 b4 -> answer", "Concat i i -> answer"),
    ],
    ids=["sigmoid", "shape", "concat"],
)
def test_maps_that_others_read_stay_as_they_are(nodes: str) -> None:
    model = _net(nodes)
    before = _answer(model)
    blocks.widen(model.graph)
    assert _channels(model)[1:3] == [(24, 16), (32, 24)]
    assert _answer(model) == pytest.approx(before, abs=1e-4)


def test_weights_that_two_convolutions_share_stay_as_they_are() -> None:
    model = _net(NODES.replace("w3 b3", "w2 b2"))
    before = _answer(model)
    blocks.widen(model.graph)
    assert _channels(model)[2:4] == [(24, 24), (24, 24)]
    assert _answer(model) == pytest.approx(before, abs=1e-4)
