"""The served embedder: `face` UINT8 [N,112,112,3] RGB, aligned → `embedding` FP32 [N,D] of length 1."""

import numpy as np
import onnx
from onnx import TensorProto, helper

from vigil_models.catalogue import CROP, Embedder
from vigil_models.errors import WrongLayout
from vigil_models.graph import preprocess
from vigil_models.graph.builder import Builder
from vigil_models.graph.clean import drop_unreachable, plain
from vigil_models.graph.source import Source

OUTPUT = "embedding"

_SMALLEST_SQUARE = 1e-24
"""Keeps an output of all zeros from becoming NaN; squares of real embeddings are above 1."""


def export(embedder: Embedder, source: Source) -> onnx.ModelProto:
    """Return the graph to serve, built from the file.

    Raises
    ------
    WrongLayout
        When the input is not a 112x112 face or the output is not one vector of the catalogue's embedding size.
    """
    _check(embedder, source)
    model = plain(source.path, source.proto)
    graph = model.graph
    preprocess.fold(graph, embedder, source.input_name, (CROP, CROP))
    builder = Builder(graph, "normalise")
    raw = builder.op("Reshape", source.output_names[0], builder.ints(0, embedder.embedding_size))
    # In float64: TensorRT has none and leaves the division to the CUDA provider instead of doing it in fp16.
    wide = builder.op("Cast", raw, to=TensorProto.DOUBLE)
    squares = builder.op("ReduceSum", builder.op("Mul", wide, wide), builder.ints(1), keepdims=1)
    length = builder.op("Sqrt", builder.op("Max", squares, builder.const(_SMALLEST_SQUARE, np.float64)))
    builder.op("Cast", builder.op("Div", wide, length), to=TensorProto.FLOAT)
    builder.rename_last(OUTPUT)
    builder.append()
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["N", embedder.embedding_size]))
    drop_unreachable(graph)
    return model


def _check(embedder: Embedder, source: Source) -> None:
    if source.input_shape[2:] not in {(CROP, CROP), (None, None)}:
        raise WrongLayout(source.path, f"a face of {source.input_shape[2:]}", f"an aligned face of {CROP}x{CROP}")
    if len(source.output_names) != 1:
        raise WrongLayout(source.path, f"{len(source.output_names)} outputs", "one output, the embedding")
    shape = source.proto.graph.output[0].type.tensor_type.shape.dim
    size = shape[-1].dim_value if shape else 0
    if len(shape) != 2 or (size and size != embedder.embedding_size):
        found = ",".join(str(dim.dim_value or "?") for dim in shape)
        raise WrongLayout(
            source.path,
            f"the output '{source.output_names[0]}' is [{found}]",
            f"an embedding of {embedder.embedding_size}",
        )
