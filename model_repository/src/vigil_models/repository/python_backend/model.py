"""Serves `model.onnx` beside it with ONNX Runtime on the CPU, inside Triton's python backend.

One thread a session, as many instances as cores: ONNX Runtime's own threads spin and steal from each other, and two
sessions of one thread serve more requests than one session of two. Arrays go in and out through DLPack, which copies
no input and works with NumPy 2, where `Tensor.as_numpy()` of this server is empty.
"""

import ctypes
import json
import os
from pathlib import Path
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read on import; else it records events without consent

import numpy as np
import onnxruntime as ort
import triton_python_backend_utils as pb_utils

_USED = b"used_dltensor"
"""Name of a consumed DLPack capsule by the specification
(https://dmlc.github.io/dlpack/latest/python_spec.html); kept here because a capsule keeps only the address."""

_rename = ctypes.pythonapi.PyCapsule_SetName
_rename.argtypes = (ctypes.py_object, ctypes.c_char_p)
_rename.restype = ctypes.c_int


def _tensor(name: str, array: np.ndarray) -> Any:  # noqa: ANN401 - Triton's types have no stubs
    """Return an array as a tensor of Triton, without a copy.

    Triton renames the consumed capsule, so NumPy takes it for unconsumed and prints a traceback for
    every response ("PyCapsule_GetPointer called with incorrect name"). With its standard name it is freed silently; the
    array itself is freed by Triton in both cases.
    """
    capsule = array.__dlpack__()
    tensor = pb_utils.Tensor.from_dlpack(name, capsule)
    _rename(capsule, _USED)
    return tensor


class TritonPythonModel:
    """One instance: one session, one request at a time."""

    def initialize(self, args: dict[str, str]) -> None:
        """Open the session.

        Parameters
        ----------
        args
            Triton's: `model_repository` (the model's folder), `model_version`, `model_config` (JSON).
        """
        config: dict[str, Any] = json.loads(args["model_config"])
        self._output: str = config["output"][0]["name"]
        self._input: str = config["input"][0]["name"]
        self._max_batch: int = config["max_batch_size"]
        self._stride = int(config["parameters"].get("input_multiple", {"string_value": "1"})["string_value"])
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        path = Path(args["model_repository"]) / args["model_version"] / "model.onnx"
        self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def execute(self, requests: list[Any]) -> list[Any]:
        """Return a response to every request; an error of one does not affect the others."""
        return [self._respond(request) for request in requests]

    def _respond(self, request: Any) -> Any:  # noqa: ANN401 - Triton's types have no stubs
        try:
            pixels = np.from_dlpack(pb_utils.get_input_tensor_by_name(request, self._input))
            self._check(pixels.shape)
            output = self._session.run([self._output], {self._input: pixels})[0]
            return pb_utils.InferenceResponse(output_tensors=[_tensor(self._output, np.ascontiguousarray(output))])
        except Exception as error:  # noqa: BLE001 - any error belongs to this request alone
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(f"{type(error).__name__}: {error}"))

    def _check(self, shape: tuple[int, ...]) -> None:
        count, height, width = shape[:3]
        if not 1 <= count <= self._max_batch or not height or not width:
            raise ValueError(f"input '{self._input}' is {list(shape)}: expected 1 to {self._max_batch} images")
        if height % self._stride or width % self._stride:
            raise ValueError(f"input '{self._input}' is {width}x{height}: sides must be multiples of {self._stride}")
