"""Reading a public ONNX file: its sum, its integrity, its inputs and outputs."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto

from vigil_models.catalogue import Model
from vigil_models.errors import ChecksumMismatch, MissingFile, NotOnnx, WrongLayout
from vigil_models.graph.clean import image_inputs

MAX_BYTES = 2_000_000_000
"""A protobuf message cannot be larger than 2 GiB, and no face model is."""


@dataclass(frozen=True)
class Source:
    """A model file that was read and equals the catalogue's entry."""

    path: Path
    sha256: str
    data: bytes
    """The file, byte for byte: the reference of every proof."""
    proto: onnx.ModelProto
    input_name: str
    input_shape: tuple[int | None, ...]
    """None where the file leaves a dimension free."""
    output_names: tuple[str, ...]


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read(model: Model, folder: Path, sha256s: Mapping[str, str] | None = None) -> Source:
    """Return a model's file from a folder, checked against the catalogue's entry.

    Parameters
    ----------
    model
        The catalogue's entry.
    folder
        Folder of the file.
    sha256s
        File name to sha256, for files of one's own that stand in for the catalogue's.

    Raises
    ------
    MissingFile, ChecksumMismatch, NotOnnx, WrongLayout
        Each names the file and what is expected.
    """
    path = folder / model.file
    if not path.is_file():
        raise MissingFile(path, "there is no such file", f"{model.name}: {model.description}")
    size = path.stat().st_size
    if not 0 < size < MAX_BYTES:
        raise NotOnnx(path, f"it has {size} bytes", f"{model.name} with {model.bytes} bytes")
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    _check_sum(model, path, digest, size, (sha256s or {}).get(model.file))
    return inspect(path, data, digest)


def _check_sum(model: Model, path: Path, digest: str, size: int, given: str | None) -> None:
    expected = given or model.sha256
    if expected is None:
        raise ChecksumMismatch(
            path, f"its sha256 {digest} is not in the catalogue", "a sum that you trust: pass --sha256 FILE=SUM"
        )
    if digest != expected:
        truncated = " (it is shorter: was its download cut off?)" if size < model.bytes and given is None else ""
        raise ChecksumMismatch(
            path, f"{size} bytes with sha256 {digest}{truncated}", f"{model.name}, sha256 {expected}"
        )


def inspect(path: Path, data: bytes, digest: str) -> Source:
    """Return a parsed ONNX file with its one image input and its outputs.

    Raises
    ------
    NotOnnx
        When it cannot be parsed or fails ONNX's own checker.
    WrongLayout
        When it does not take exactly one float image [N,3,H,W].
    """
    try:
        proto = onnx.load_model_from_string(data)
        onnx.checker.check_model(proto)
    except (DecodeError, onnx.checker.ValidationError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise NotOnnx(path, f"not a whole ONNX model ({reason})", "an ONNX file") from error
    graph = proto.graph
    inputs = image_inputs(graph)
    expected = "one float input [N,3,H,W]"
    if len(inputs) != 1:
        raise WrongLayout(path, f"{len(inputs)} inputs ({', '.join(value.name for value in inputs)})", expected)
    tensor = inputs[0].type.tensor_type
    shape = tuple(dim.dim_value or None for dim in tensor.shape.dim)
    if tensor.elem_type != TensorProto.FLOAT or len(shape) != 4 or shape[1] != 3:
        raise WrongLayout(path, f"the input '{inputs[0].name}' is {_text(shape)}", expected)
    names = tuple(value.name for value in graph.output)
    return Source(path, digest, data, proto, inputs[0].name, shape, names)


def _text(shape: tuple[int | None, ...]) -> str:
    return "[" + ",".join("?" if size is None else str(size) for size in shape) + "]"
