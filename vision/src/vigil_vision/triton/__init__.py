"""The inference client: two models behind one or more Triton servers, over gRPC, with deadlines everywhere."""

from vigil_vision.triton.cards import DETECTION, RECOGNITION, DetectionCard, ModelCard, RecognitionCard
from vigil_vision.triton.client import Answer, InferenceClient
from vigil_vision.triton.endpoint import EndpointState
from vigil_vision.triton.errors import (
    InferenceError,
    InferenceOverloaded,
    InferenceRejected,
    InferenceTimeout,
    InferenceUnavailable,
)
from vigil_vision.triton.face_models import FaceModels

__all__ = [
    "DETECTION",
    "RECOGNITION",
    "Answer",
    "DetectionCard",
    "EndpointState",
    "FaceModels",
    "InferenceClient",
    "InferenceError",
    "InferenceOverloaded",
    "InferenceRejected",
    "InferenceTimeout",
    "InferenceUnavailable",
    "ModelCard",
    "RecognitionCard",
]
