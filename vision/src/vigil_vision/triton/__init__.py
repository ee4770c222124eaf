"""The inference client: models behind one or more Triton servers, over gRPC, with deadlines everywhere."""

from vigil_vision.triton.client import InferenceResult, TritonClient
from vigil_vision.triton.endpoint import EndpointState
from vigil_vision.triton.errors import (
    InferenceError,
    InferenceOverloaded,
    InferenceRejected,
    InferenceTimeout,
    InferenceUnavailable,
)
from vigil_vision.triton.model_info import ModelInfo, TensorInfo

__all__ = [
    "EndpointState",
    "InferenceError",
    "InferenceOverloaded",
    "InferenceRejected",
    "InferenceResult",
    "InferenceTimeout",
    "InferenceUnavailable",
    "ModelInfo",
    "TensorInfo",
    "TritonClient",
]
