"""A writer of ONNX nodes: every call adds one node and returns the name of its output."""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

OPSET = 17
"""Operator set of every exported graph: supported by ONNX Runtime 1.12 and TensorRT 8.6 and newer, so by
the server with GPUs, by the one around Python, and by older Triton images."""

IR_VERSION = 8
"""ONNX file format that belongs to opset 17."""

PREFIX = "vigil/"
"""Prefix of every added name, so that none equals a name of the original."""


class Builder:
    """Adds nodes and constants to a graph, naming them as it goes."""

    def __init__(self, graph: onnx.GraphProto, part: str) -> None:
        self._graph = graph
        self._prefix = f"{PREFIX}{part}/"
        self._count = 0
        self._added: list[onnx.NodeProto] = []

    def op(self, op_type: str, *inputs: str, **attributes: object) -> str:
        """Add a node with one output and return the name of that output."""
        return self.ops(op_type, *inputs, outputs=1, **attributes)[0]

    def ops(self, op_type: str, *inputs: str, outputs: int, **attributes: object) -> list[str]:
        """Add a node with several outputs and return their names."""
        self._count += 1
        name = f"{self._prefix}{op_type}_{self._count}"
        results = [name] if outputs == 1 else [f"{name}_{index}" for index in range(outputs)]
        self._added.append(helper.make_node(op_type, list(inputs), results, name=name, **attributes))  # type: ignore[arg-type]
        return results

    def const(self, values: object, dtype: type[np.generic]) -> str:
        """Add a constant and return its name."""
        self._count += 1
        name = f"{self._prefix}const_{self._count}"
        array: NDArray[np.generic] = np.asarray(values, dtype)
        self._graph.initializer.append(numpy_helper.from_array(array, name))
        return name

    def ints(self, *values: int) -> str:
        """Add a vector of int64 and return its name."""
        return self.const(values, np.int64)

    def rename_last(self, name: str) -> None:
        """Rename the output of the node added last, for example to a graph output's name."""
        self._added[-1].output[0] = name

    def prepend(self) -> None:
        """Insert the added nodes before those of the graph."""
        nodes = [*self._added, *self._graph.node]
        del self._graph.node[:]
        self._graph.node.extend(nodes)
        self._added = []

    def append(self) -> None:
        """Append the added nodes to those of the graph."""
        self._graph.node.extend(self._added)
        self._added = []
