"""The properties of the served face models, read from the parameters in their Triton configuration."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from vigil_contracts.analyses import ANALYSES, AnalysisName

DETECTION, RECOGNITION = ANALYSES[AnalysisName.FACES].models
"""Their names in Triton."""

_MODEL_ID = re.compile(r"\S+@[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class FaceModelInfo:
    """A model of faces.

    Attributes
    ----------
    model_id
        `<name>@<first 12 hex digits of the sha256 of the source ONNX file>`; embeddings of different ids never meet.
    """

    model_id: str


@dataclass(frozen=True, slots=True)
class DetectorInfo(FaceModelInfo):
    """The served detector.

    Attributes
    ----------
    score_threshold, enrol_score_threshold
        0 to 1: least score of a face in live frames, and in enrolment photos.
    nms_iou
        0 to 1: boxes that overlap more are one face.
    top_k
        Rows of the output, padding included.
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
class EmbedderInfo(FaceModelInfo):
    """The served embedder.

    Attributes
    ----------
    embedding_size
        Length of an embedding.
    match_threshold, match_margin
        Least cosine similarity of the same person, and least lead over the second best person.
    same_person
        Shots of one camera at least so similar show one person.
    other_person
        Good shots of one camera less similar than this show two people.
    alignment_template
        `arcface_112`.
    """

    embedding_size: int
    match_threshold: float
    match_margin: float
    same_person: float
    other_person: float
    alignment_template: str = "arcface_112"

    @property
    def one_person(self) -> float:
        """Least cosine of two enrolment photos of one person."""
        return one_person(self.match_threshold, self.match_margin)


def one_person(match_threshold: float, match_margin: float) -> float:
    """Return the least cosine of two enrolment photos of one person, from what the model's manifest states.

    Below the threshold by the margin: photos differ in age, glasses and light more than the shots of a sighting, and
    people in different photos are still further apart (at most 0.29 with SFace and 0.23 with MobileFaceNet).
    """
    return match_threshold - match_margin


def detector_info(parameters: Mapping[str, str], *, dims: tuple[int, ...]) -> DetectorInfo:
    """Return the detector's properties; ValueError names the parameter that is missing or invalid.

    Parameters
    ----------
    parameters
        The parameters of the model configuration, text values.
    dims
        The dimensions of the input `image` without the batch: H, W, 3; -1 where any size goes.
    """
    if len(dims) != 3 or dims[2] not in {3, -1}:
        msg = f"input dims {list(dims)} are not [H, W, 3]"
        raise ValueError(msg)
    return DetectorInfo(
        model_id=_model_id(parameters),
        score_threshold=_permille(parameters, "score_threshold_permille"),
        enrol_score_threshold=_permille(parameters, "enrol_score_threshold_permille"),
        nms_iou=_permille(parameters, "nms_iou_permille"),
        top_k=_integer(parameters, "top_k", 1, 10_000),
        height=dims[0] if dims[0] > 0 else None,
        width=dims[1] if dims[1] > 0 else None,
    )


def embedder_info(parameters: Mapping[str, str]) -> EmbedderInfo:
    """Return the embedder's properties; ValueError names the parameter that is missing or invalid."""
    template = _text(parameters, "alignment_template")
    if template != "arcface_112":
        msg = f"alignment_template is {template!r}; this version aligns to 'arcface_112' only"
        raise ValueError(msg)
    return EmbedderInfo(
        model_id=_model_id(parameters),
        embedding_size=_integer(parameters, "embedding_size", 1, 65_536),
        match_threshold=_permille(parameters, "match_threshold_permille"),
        match_margin=_permille(parameters, "match_margin_permille"),
        # A repository of an earlier exporter has neither; its own threshold then serves as both.
        same_person=_permille(parameters, "same_person_permille", instead="match_threshold_permille"),
        other_person=_permille(parameters, "other_person_permille", instead="match_threshold_permille"),
        alignment_template=template,
    )


def _text(parameters: Mapping[str, str], name: str) -> str:
    value = parameters.get(name, "")
    if not value:
        msg = f"parameter {name} is missing; was the model exported by vigil-models?"
        raise ValueError(msg)
    return value


def _model_id(parameters: Mapping[str, str]) -> str:
    value = _text(parameters, "vigil_model_id")
    if not _MODEL_ID.fullmatch(value):
        msg = f"parameter vigil_model_id is {value!r}, not <name>@<12 hex digits>"
        raise ValueError(msg)
    return value


def _integer(parameters: Mapping[str, str], name: str, least: int, most: int) -> int:
    value = _text(parameters, name)
    if not value.isdecimal() or not least <= int(value) <= most:
        msg = f"parameter {name} is {value!r}, not a whole number from {least} to {most}"
        raise ValueError(msg)
    return int(value)


def _permille(parameters: Mapping[str, str], name: str, *, instead: str = "") -> float:
    return _integer(parameters, name if name in parameters or not instead else instead, 0, 1000) / 1000
