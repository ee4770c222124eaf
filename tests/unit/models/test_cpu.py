"""What is rewritten for a CPU computes the same."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from tests.unit.models import nets

from vigil_models.export import build
from vigil_models.graph import cpu
from vigil_models.graph.source import inspect
from vigil_models.proof.prove import prove


@pytest.mark.parametrize("slopes", [(0.25, 0.25), (-0.5, 1.7)], ids=["usual", "negative and above one"])
def test_prelu_becomes_convolutions_and_the_embedding_stays(tmp_path: Path, slopes: tuple[float, float]) -> None:
    model = nets.entry("w600k_r50")
    path = nets.arcface(tmp_path / model.file)
    original = onnx.load(path)
    for node in [node for node in original.graph.node if node.op_type == "PRelu"]:
        (tensor,) = [tensor for tensor in original.graph.initializer if tensor.name == node.input[1]]
        values = np.linspace(*slopes, num=tensor.dims[0], dtype=np.float32).reshape(-1, 1, 1)
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    onnx.save(original, path)
    source = inspect(path, path.read_bytes(), "")
    tuned = build(model, source)
    cpu.tune(tuned)
    onnx.checker.check_model(tuned, full_check=True)
    assert "PRelu" not in {node.op_type for node in tuned.graph.node}
    assert all(each.within for each in prove(model, source, tuned, {}))


def test_slopes_that_are_not_one_for_each_channel_are_left_alone(tmp_path: Path) -> None:
    model = nets.entry("w600k_r50")
    path = nets.arcface(tmp_path / model.file)
    built = build(model, inspect(path, path.read_bytes(), ""))
    for node in built.graph.node:
        if node.op_type == "PRelu":
            node.input[1] = "one"
    built.graph.initializer.append(numpy_helper.from_array(np.full((1,), 0.25, np.float32), "one"))
    before = [node.op_type for node in built.graph.node]
    cpu.tune(built)
    assert [node.op_type for node in built.graph.node] == before
