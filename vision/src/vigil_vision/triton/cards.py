"""What a client must know of a served model, read from the parameters in its Triton configuration."""

from collections.abc import Mapping
from dataclasses import dataclass

DETECTION = "face_detection"
RECOGNITION = "face_recognition"


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A served model.

    Attributes
    ----------
    model_id
        `<name>@<first 12 hex digits of the sha256 of the source ONNX file>`; embeddings of different ids never meet.
    """

    model_id: str


@dataclass(frozen=True, slots=True)
class DetectionCard(ModelCard):
    """The served detector.

    Attributes
    ----------
    score_threshold, enrol_score_threshold
        0 to 1: least score of a face in live pictures, and in enrolment photos.
    nms_iou
        0 to 1: boxes that overlap more are one face.
    top_k
        Rows in an answer.
    height, width
        Input size in pixels when the model fixes it; None when it takes any multiple of 32.
    """

    score_threshold: float
    enrol_score_threshold: float
    nms_iou: float
    top_k: int
    height: int | None = None
    width: int | None = None


@dataclass(frozen=True, slots=True)
class RecognitionCard(ModelCard):
    """The served embedder.

    Attributes
    ----------
    embedding_size
        Length of an embedding.
    match_threshold, match_margin
        Least cosine similarity of the same person, and least lead over the second best person.
    alignment_template
        `arcface_112`.
    """

    embedding_size: int
    match_threshold: float
    match_margin: float
    alignment_template: str = "arcface_112"


def detection_card(parameters: Mapping[str, str], *, dims: tuple[int, ...]) -> DetectionCard:
    """Read the detector's card; ValueError names the parameter that is missing or wrong.

    Parameters
    ----------
    parameters
        Of the model configuration, text values.
    dims
        Of the input `image` without the batch: H, W, 3; -1 where any size goes.
    """
    raise NotImplementedError


def recognition_card(parameters: Mapping[str, str]) -> RecognitionCard:
    """Read the embedder's card; ValueError names the parameter that is missing or wrong."""
    raise NotImplementedError
