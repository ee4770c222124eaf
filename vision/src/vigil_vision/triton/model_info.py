"""A served model as its Triton configuration describes it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from vigil_vision.triton.wire import CONFIG_DTYPES, Message

MODEL_ID = "vigil_model_id"
"""Parameter of a model that `vigil-models` exported."""


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One input or output of a model.

    Attributes
    ----------
    name
        Name of the tensor.
    dims
        Sizes without the batch; -1 where any size is allowed.
    dtype
        Of its elements; None for strings and what NumPy does not have.
    """

    name: str
    dims: tuple[int, ...]
    dtype: np.dtype[Any] | None


@dataclass(frozen=True, slots=True, eq=False)
class ModelInfo:
    """A served model; compared by identity, so that what is read from its parameters can be cached.

    Attributes
    ----------
    name
        Name under which it is served.
    inputs, outputs
        Tensors in the order of the configuration.
    parameters
        Text parameters of the configuration.
    max_batch
        Items that one request may hold; 0 when the model takes no batches.
    """

    name: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    parameters: Mapping[str, str]
    max_batch: int

    @property
    def model_id(self) -> str:
        """`<name>@<first 12 hex digits of the sha256 of the source ONNX file>`; empty when Vigil did not export it."""
        return self.parameters.get(MODEL_ID, "")

    def input_dims(self, name: str) -> tuple[int, ...]:
        """Return the sizes of an input without the batch; ValueError when the model has no such input."""
        for tensor in self.inputs:
            if tensor.name == name:
                return tensor.dims
        msg = f"the model has no input {name!r}; was it exported by vigil-models?"
        raise ValueError(msg)


def read_model_info(config: Message) -> ModelInfo:
    """Convert the `inference.ModelConfig` of a server."""
    return ModelInfo(
        name=config.name,
        inputs=_tensors(config.input),
        outputs=_tensors(config.output),
        parameters={name: value.string_value for name, value in config.parameters.items()},
        max_batch=config.max_batch_size,
    )


def _tensors(described: Message) -> tuple[TensorInfo, ...]:
    return tuple(TensorInfo(one.name, tuple(one.dims), CONFIG_DTYPES.get(one.data_type)) for one in described)
