"""The inference protocol's messages, and a request built with one copy of the picture.

The messages are those of `tritonclient`, loaded without that package's client: it brings 3 MiB of modules that nobody
here calls. The picture is appended to the serialised request by hand; through protobuf it would be copied three times.
"""

import importlib
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Message: TypeAlias = Any
"""A protobuf message or its class; generated code carries no types."""

SERVICE = "/inference.GRPCInferenceService/"

_RAW_INPUT_CONTENTS = b"\x3a"
"""Tag of `ModelInferRequest.raw_input_contents`: field 7, length-delimited."""


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
        # So that whoever imports the real package later gets the real one.
        del sys.modules[package]


messages: Message = _load_messages()


def infer_request(
    model: str, tensor: str, shape: Sequence[int], *, timeout_s: float, region: tuple[str, int] | None = None
) -> bytes:
    """Serialise a request for one UINT8 input, still without its pixels.

    Parameters
    ----------
    model, tensor
        Names of the model and of its input.
    shape
        Of the input.
    timeout_s
        Seconds after which the server may drop the request from its queue.
    region
        Name of a registered shared memory region and the offset in it where the pixels lie; None when they follow.
    """
    request = messages.ModelInferRequest(model_name=model)
    request.parameters["timeout"].int64_param = max(int(timeout_s * 1e6), 1)
    described = request.inputs.add(name=tensor, datatype="UINT8", shape=shape)
    if region is not None:
        described.parameters["shared_memory_region"].string_param = region[0]
        described.parameters["shared_memory_offset"].int64_param = region[1]
        described.parameters["shared_memory_byte_size"].int64_param = int(np.prod(shape))
    serialised: bytes = request.SerializeToString()
    return serialised


def with_pixels(request: bytes, pixels: NDArray[np.uint8]) -> bytes:
    """Append the pixels to a serialised request, contiguous or not, as its raw input."""
    contiguous = np.ascontiguousarray(pixels)
    return b"".join((request, _RAW_INPUT_CONTENTS, _varint(contiguous.nbytes), contiguous.data))


def read_output(answer: bytes, tensor: str) -> NDArray[np.float32]:
    """Read an FP32 output; writable. ValueError says how the answer differs from what is expected."""
    response = messages.ModelInferResponse.FromString(answer)
    names = [output.name for output in response.outputs]
    if tensor not in names or len(response.raw_output_contents) != len(names):
        msg = f"outputs {names} without raw {tensor!r}"
        raise ValueError(msg)
    index = names.index(tensor)
    output, raw = response.outputs[index], response.raw_output_contents[index]
    shape = tuple(output.shape)
    if output.datatype != "FP32" or len(raw) != 4 * int(np.prod(shape)):
        msg = f"{tensor} is {output.datatype} {list(shape)} in {len(raw)} bytes"
        raise ValueError(msg)
    return np.frombuffer(raw, np.float32).reshape(shape).copy()


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)
