"""The inference protocol's messages, and a request built with one copy of its inputs.

The messages are those of `tritonclient`, loaded without that package's client: it brings 3 MiB of modules that are
not used here. Inputs are appended to the serialised request by hand; through protobuf they would be copied three times.
"""

import importlib
import math
import sys
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Message: TypeAlias = Any
"""A protobuf message or its class; generated code carries no types."""

Tensors: TypeAlias = Mapping[str, NDArray[Any]]
"""Arrays by the name of an input or output."""

SERVICE = "/inference.GRPCInferenceService/"

_RAW_INPUT_CONTENTS = b"\x3a"
"""Tag of `ModelInferRequest.raw_input_contents`: field 7, length-delimited."""


_DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "FP16": np.dtype(np.float16),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
}
"""Names of the protocol, in the order of `inference.DataType` after `TYPE_INVALID`."""

_DATATYPES = {dtype: name for name, dtype in _DTYPES.items()}

CONFIG_DTYPES: Mapping[int, np.dtype[Any]] = dict(enumerate(_DTYPES.values(), 1))
"""By the number of `inference.DataType`, which a model's configuration holds."""


def _load_messages() -> ModuleType:
    package = "tritonclient.grpc"
    if package in sys.modules:
        return importlib.import_module(f"{package}.service_pb2")
    spec = find_spec("tritonclient")
    if spec is None or not spec.submodule_search_locations:
        msg = "tritonclient is not installed; install vigil-vision with its dependencies"
        raise ImportError(msg)
    placeholder = ModuleType(package)
    placeholder.__path__ = [f"{spec.submodule_search_locations[0]}/grpc"]
    sys.modules[package] = placeholder
    try:
        return importlib.import_module(f"{package}.service_pb2")
    finally:
        # So that a later import of the real package gets the real one.
        del sys.modules[package]


messages: Message = _load_messages()


def infer_request(model: str, inputs: Tensors, *, timeout_s: float, regions: Mapping[str, tuple[str, int]]) -> bytes:
    """Serialise a request, still without the contents of the inputs that travel in it.

    Parameters
    ----------
    model
        Its name.
    inputs
        Arrays by the name of the input.
    timeout_s
        Seconds after which the server may drop the request from its queue.
    regions
        For each input in shared memory, the name of the registered region and the offset in it; the other inputs follow
        by `with_contents`.

    Raises
    ------
    ValueError
        When an array has a type that the protocol does not have.
    """
    request = messages.ModelInferRequest(model_name=model)
    request.parameters["timeout"].int64_param = max(int(timeout_s * 1e6), 1)
    for name, array in inputs.items():
        described = request.inputs.add(name=name, datatype=_datatype(array), shape=array.shape)
        region = regions.get(name)
        if region is not None:
            described.parameters["shared_memory_region"].string_param = region[0]
            described.parameters["shared_memory_offset"].int64_param = region[1]
            described.parameters["shared_memory_byte_size"].int64_param = array.nbytes
    serialised: bytes = request.SerializeToString()
    return serialised


def with_contents(request: bytes, arrays: Iterable[NDArray[Any]]) -> bytes:
    """Append the contents of arrays, contiguous or not, to a serialised request, in the order of its inputs."""
    parts: list[bytes | memoryview] = [request]
    for array in arrays:
        contiguous = np.ascontiguousarray(array)
        parts += (_RAW_INPUT_CONTENTS, _varint(contiguous.nbytes), contiguous.data)
    return b"".join(parts)


def read_outputs(serialised: bytes) -> dict[str, NDArray[Any]]:
    """Read all outputs by name; writable. ValueError names what cannot be read."""
    response = messages.ModelInferResponse.FromString(serialised)
    outputs, contents = response.outputs, response.raw_output_contents
    if len(outputs) != len(contents):
        msg = f"{len(outputs)} outputs with {len(contents)} raw contents"
        raise ValueError(msg)
    return {output.name: _read_output(output, raw) for output, raw in zip(outputs, contents, strict=True)}


def _read_output(output: Message, raw: bytes) -> NDArray[Any]:
    shape, dtype = tuple(output.shape), _DTYPES.get(output.datatype)
    if dtype is None or len(raw) != dtype.itemsize * math.prod(shape):
        msg = f"{output.name} is {output.datatype} {list(shape)} in {len(raw)} bytes"
        raise ValueError(msg)
    return np.frombuffer(raw, dtype).reshape(shape).copy()


def _datatype(array: NDArray[Any]) -> str:
    try:
        return _DATATYPES[array.dtype]
    except KeyError:
        msg = f"an array of {array.dtype} cannot be sent; {', '.join(_DTYPES)} can"
        raise ValueError(msg) from None


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)
