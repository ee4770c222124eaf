"""The catalogue of models: typed, and read from `catalogue.yaml`, where every fact about a model is written once.

Thresholds are permille, as in the resources: no floats cross a process boundary. `calibration` names the origin of a
threshold, because a number without an origin cannot be trusted or improved.
"""

from functools import cache
from importlib import resources
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, model_validator

from vigil_models.errors import CatalogueError

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Permille = Annotated[int, Field(ge=0, le=1000)]

TOP_K = 128
"""Candidates that a detector returns, before the client suppresses overlaps: 128 rows of 15 floats are 7.5 KiB."""

CROP = 112
"""Side of an aligned face in pixels (ArcFace)."""


class _Fact(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Licence(_Fact):
    """The licence of weights."""

    name: str
    address: str
    """URL of the licence's text."""
    commercial_use: bool
    text: str | None
    """File in `vigil_models/licences` that goes along with an export; None when no text grants a right."""
    note: str

    def full_text(self) -> str | None:
        """Return the licence's text; None when the catalogue has none."""
        if self.text is None:
            return None
        return (resources.files("vigil_models") / "licences" / self.text).read_text(encoding="utf-8")


class WheelSource(_Fact):
    """A member of a wheel that the package registry serves, by name and version."""

    kind: Literal["wheel"]
    requirement: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]+==[A-Za-z0-9._]+$")]
    member: str


class ArchiveSource(_Fact):
    """A member of a zip archive at an address."""

    kind: Literal["archive"]
    url: Annotated[str, StringConstraints(pattern=r"^https://")]
    bytes: int
    sha256: Sha256
    member: str


Source = Annotated[WheelSource | ArchiveSource, Field(discriminator="kind")]


class _Model(_Fact):
    name: str
    description: str
    channels: Literal["RGB", "BGR"]
    """Order of the channels that the original network takes; the exported one always takes RGB."""
    mean: float
    """Subtracted from every value 0..255 before the network."""
    std: float = Field(gt=0)
    """Divides what is left."""
    calibration: str
    licence: str
    file: str
    """Name under which the file lies in the cache or in a folder of one's own."""
    bytes: int
    sha256: Sha256 | None
    """None when no trustworthy sum is known: then the user must pass one."""
    sources: tuple[Source, ...]

    def model_id(self, sha256: str) -> str:
        """Return the permanent id of these weights: `<name>@<first 12 hex digits of the file's sha256>`."""
        return f"{self.name}@{sha256[:12]}"


class Detector(_Model):
    """A face detector with five landmarks."""

    task: Literal["face_detection"]
    layout: Literal["scrfd_flattened", "scrfd_levels", "yunet"]
    """The arrangement of the file's outputs; `vigil_models.graph.heads` reads each."""
    anchors: int = Field(ge=1)
    """Boxes per cell."""
    strides: tuple[int, ...]
    top_k: int = TOP_K
    score_threshold_permille: Permille
    enrol_score_threshold_permille: Permille
    nms_iou_permille: Permille


class Embedder(_Model):
    """A network from an aligned face to an embedding."""

    task: Literal["face_recognition"]
    layout: Literal["arcface"]
    """Input [1 or any, 3, 112, 112], one output [1 or any, embedding size], not normalised."""
    embedding_size: int = Field(ge=16, le=4096)
    alignment_template: Literal["arcface_112"]
    match_threshold_permille: Permille
    match_margin_permille: Permille
    same_person_permille: Permille
    """Least cosine at which two shots of one camera within seconds show one person."""
    other_person_permille: Permille
    """Cosine below which one good shot shows another person; between the two more shots decide."""
    same_person_calibration: str


Model = Detector | Embedder


class Pack(_Fact):
    """A detector and an embedder that go together, under one name."""

    name: str
    description: str
    detector: Detector
    embedder: Embedder
    licences: tuple[Licence, ...]
    """The licences of the detector and the embedder, each once."""

    @property
    def models(self) -> tuple[Model, ...]:
        """The detector, then the embedder."""
        return (self.detector, self.embedder)

    @property
    def commercial_use(self) -> bool:
        """Whether every licence of the pack allows commercial use."""
        return all(licence.commercial_use for licence in self.licences)


class _PackEntry(_Fact):
    description: str
    detection: str
    recognition: str


class Catalogue(_Fact):
    """Everything in `catalogue.yaml`, checked."""

    licences: dict[str, Licence]
    models: dict[str, Annotated[Model, Field(discriminator="task")]]
    packs: dict[str, _PackEntry]

    @model_validator(mode="after")
    def _no_dangling_names(self) -> Self:
        for name, model in self.models.items():
            if model.licence not in self.licences:
                raise ValueError(f"model {name}: licence '{model.licence}' is not in the catalogue")
        for name, pack in self.packs.items():
            for key, task in ((pack.detection, "face_detection"), (pack.recognition, "face_recognition")):
                if key not in self.models or self.models[key].task != task:
                    raise ValueError(f"pack {name}: '{key}' is not in the catalogue with task {task}")
        return self

    def pack(self, name: str) -> Pack:
        """Return a pack by name.

        Raises
        ------
        CatalogueError
            When there is none of that name; the message lists the names.
        """
        entry = self.packs.get(name)
        if entry is None:
            raise CatalogueError(f"There is no pack '{name}'; the catalogue has {', '.join(self.packs)}.")
        detector, embedder = self.models[entry.detection], self.models[entry.recognition]
        if not isinstance(detector, Detector) or not isinstance(embedder, Embedder):
            raise CatalogueError(f"Pack '{name}' does not name a detector and an embedder.")
        names = dict.fromkeys((detector.licence, embedder.licence))
        return Pack(
            name=name,
            description=entry.description,
            detector=detector,
            embedder=embedder,
            licences=tuple(self.licences[key] for key in names),
        )


@cache
def load() -> Catalogue:
    """Return the catalogue that ships with this package."""
    text = (resources.files("vigil_models") / "catalogue.yaml").read_text(encoding="utf-8")
    data = yaml.safe_load(text)
    for name, model in data["models"].items():
        model["name"] = name
    return TypeAdapter(Catalogue).validate_python(data)
