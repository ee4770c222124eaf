"""Making a graph plain: constants folded, batch free, one operator set, nothing unreachable.

Folding is done by ONNX Runtime itself on the constant part of the graph, so that its results equal the original's. It
turns 8-bit block-quantised weights (`DequantizeLinear` with a block size, opset 21) into fp32, which also runs faster
on a CPU: SFace takes 26 ms a face instead of 40.
"""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper, numpy_helper, version_converter

from vigil_models.errors import WrongLayout
from vigil_models.graph.builder import IR_VERSION, OPSET

_SAME_SINCE_OPSET = frozenset(
    {
        "Add", "AveragePool", "BatchNormalization", "Cast", "Clip", "Concat", "Constant", "Conv", "Div", "Dropout",
        "Exp", "Flatten", "Gather", "Gemm", "GlobalAveragePool", "Identity", "MatMul", "MaxPool", "Mul", "PRelu",
        "Relu", "Reshape", "Resize", "Shape", "Sigmoid", "Slice", "Split", "Sqrt", "Squeeze", "Sub", "Transpose",
        "Unsqueeze",
    }
)  # fmt: skip
"""Operators that mean the same in opsets 17 to 23: later ones only added types or attributes, and the checker refuses a
node that uses such an attribute (https://github.com/onnx/onnx/blob/main/docs/Changelog.md)."""


def plain(path: Path, source: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of a model with its constants folded, its batch free and its operators those of `OPSET`.

    Raises
    ------
    WrongLayout
        When it uses operators that cannot be brought to `OPSET`.
    """
    model = onnx.ModelProto()
    model.CopyFrom(source)
    make_runnable(model.graph)
    _fold_constants(model)
    _free_batch(model.graph)
    model = _to_opset(path, model)
    drop_unreachable(model.graph)
    del model.graph.value_info[:]
    return model


def drop_unreachable(graph: onnx.GraphProto) -> None:
    """Remove nodes and constants that no output needs."""
    needed = {value.name for value in graph.output}
    kept: list[onnx.NodeProto] = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
    del graph.node[:]
    graph.node.extend(reversed(kept))
    initializers = [initializer for initializer in graph.initializer if initializer.name in needed]
    del graph.initializer[:]
    graph.initializer.extend(initializers)


def make_runnable(graph: onnx.GraphProto) -> None:
    """Repair what makes ONNX Runtime refuse some public files; their results stay the same."""
    _only_images_are_inputs(graph)
    _lone_blocks_are_tensors(graph)


def _lone_blocks_are_tensors(graph: onnx.GraphProto) -> None:
    """Write "one block over the whole vector" as "one scale for the tensor", which is the same by definition.

    ONNX Runtime refuses `block_size` with a scale of shape [1] ("block_size must be 0 for per-tensor quantization").
    OpenCV Zoo's 8-bit files have such biases, so that they do not run unchanged (seen with 1.31).
    """
    scales = {tensor.name for tensor in graph.initializer if list(tensor.dims) == [1]}
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and node.input[1] in scales:
            kept = [attribute for attribute in node.attribute if attribute.name not in {"axis", "block_size"}]
            del node.attribute[:]
            node.attribute.extend(kept)


def _only_images_are_inputs(graph: onnx.GraphProto) -> None:
    """Drop inputs that are constants (files of IR 3 list them all) and inputs that no node reads any more."""
    inputs = image_inputs(graph)
    del graph.input[:]
    graph.input.extend(inputs)


def image_inputs(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """Return the inputs that a caller must fill: read by a node, and no constant."""
    constants = {initializer.name for initializer in graph.initializer}
    read = {name for node in graph.node for name in node.input}
    return [value for value in graph.input if value.name in read and value.name not in constants]


def _fold_constants(model: onnx.ModelProto) -> None:
    graph = model.graph
    known = {initializer.name for initializer in graph.initializer}
    constant: list[onnx.NodeProto] = []
    rest: list[onnx.NodeProto] = []
    for node in graph.node:
        if all(name in known or not name for name in node.input) and len(node.output) == 1:
            constant.append(node)
            known.update(node.output)
        else:
            rest.append(node)
    if not constant:
        return
    used = {name for node in rest for name in node.input} | {value.name for value in graph.output}
    wanted = [name for node in constant for name in node.output if name in used]
    for name, value in zip(wanted, _evaluate(model, constant, wanted), strict=True):
        graph.initializer.append(numpy_helper.from_array(value, name))
    del graph.node[:]
    graph.node.extend(rest)
    drop_unreachable(graph)


def _evaluate(model: onnx.ModelProto, nodes: list[onnx.NodeProto], wanted: list[str]) -> list[np.ndarray]:
    outputs = [onnx.ValueInfoProto(name=name) for name in wanted]
    graph = helper.make_graph(nodes, "constants", [], outputs, list(model.graph.initializer))
    part = helper.make_model(
        graph, opset_imports=list(model.opset_import), ir_version=max(model.ir_version, IR_VERSION)
    )
    inferred = onnx.shape_inference.infer_shapes(part)
    types = {value.name: value for value in inferred.graph.value_info}
    for value in part.graph.output:
        if value.name in types:
            value.CopyFrom(types[value.name])
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = ort.InferenceSession(part.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return [np.asarray(value) for value in session.run(wanted, {})]


def _free_batch(graph: onnx.GraphProto) -> None:
    """Turn a `Reshape` to [1, …], which holds the batch at one, into [0, …], which means "as the input has it"."""
    shapes = {initializer.name: initializer for initializer in graph.initializer}
    for node in graph.node:
        if node.op_type != "Reshape" or node.input[1] not in shapes:
            continue
        shape = numpy_helper.to_array(shapes[node.input[1]]).copy()
        if shape.ndim == 1 and shape.size > 1 and shape[0] == 1:
            shape[0] = 0
            name = f"{node.input[1]}/any_batch"
            if name not in shapes:
                graph.initializer.append(numpy_helper.from_array(shape, name))
                shapes[name] = graph.initializer[-1]
            node.input[1] = name


def _to_opset(path: Path, model: onnx.ModelProto) -> onnx.ModelProto:
    version = next((entry.version for entry in model.opset_import if entry.domain in {"", "ai.onnx"}), 0)
    foreign = sorted({node.op_type for node in model.graph.node if node.domain not in {"", "ai.onnx"}})
    if foreign:
        raise WrongLayout(path, f"it uses operators outside ONNX ({', '.join(foreign)})", "standard operators only")
    if version > OPSET:
        newer = sorted({node.op_type for node in model.graph.node} - _SAME_SINCE_OPSET)
        if newer:
            raise WrongLayout(path, f"opset {version} with {', '.join(newer)}", f"operators that opset {OPSET} has")
    elif version < OPSET:
        model = _upgrade(path, model, version)
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("", OPSET))
    model.ir_version = IR_VERSION
    return model


def _upgrade(path: Path, model: onnx.ModelProto, version: int) -> onnx.ModelProto:
    try:
        return version_converter.convert_version(model, OPSET)
    except (RuntimeError, version_converter.ConvertError) as error:
        reason = str(error).strip().splitlines()[0]
        raise WrongLayout(
            path, f"opset {version} ({reason})", f"a graph that ONNX can bring to opset {OPSET}"
        ) from error
