"""Camera: the source of a video and how it is analysed."""

from collections.abc import Callable
from enum import StrEnum
from itertools import combinations
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from vigil_contracts.analyses import AnalysisName
from vigil_contracts.base import Strict, Tolerant
from vigil_contracts.conditions import MAX_CONDITIONS, Condition
from vigil_contracts.resources.common import (
    AS_SET,
    BY_NAME,
    BY_TYPE,
    NAME_RULE,
    Duration,
    Generation,
    LocalRef,
    Metadata,
    Name,
    Permille,
)
from vigil_contracts.resources.rules import Rule, Ruled, immutable, not_yet, unique
from vigil_contracts.resources.scheduling import Scheduling, Toleration
from vigil_contracts.resources.source import SCHEMES, CameraSource, SourceType, Transport

__all__ = [
    "SCHEMES",
    "Accelerator",
    "Camera",
    "CameraSource",
    "CameraSpec",
    "CameraStatus",
    "Decode",
    "Detection",
    "DuplicateFilter",
    "MotionGate",
    "Point",
    "Preview",
    "Recognition",
    "RecognitionMode",
    "Region",
    "Retention",
    "Sampling",
    "Scheduling",
    "SourceType",
    "StillFaces",
    "Toleration",
    "Transport",
]


class Accelerator(StrEnum):
    """Where video is decoded; Auto takes CUDA where there is a device and reports when it falls back."""

    AUTO = "Auto"
    CUDA = "CUDA"
    CPU = "CPU"


class RecognitionMode(StrEnum):
    """Identify compares with the gallery; DetectOnly sends sightings without embeddings."""

    IDENTIFY = "Identify"
    DETECT_ONLY = "DetectOnly"


class Decode(Strict):
    """How the stream is decoded."""

    accelerator: Accelerator = Accelerator.AUTO
    """Auto takes CUDA where there is a device and reports when it falls back. Types WebSocket and Socket are always
    decoded on the CPU."""


class MotionGate(Strict):
    """Skip frames in which nothing moved."""

    enabled: bool = True
    """False analyses still frames too."""
    threshold_permille: Permille = 4
    """Share of the frame's area that must have changed; less, in proportion, where the smallest face that counts covers
    little of the frame."""


class DuplicateFilter(Strict):
    """Skip frames that equal the one before."""

    enabled: bool = True
    """False analyses repeated frames too."""


class Sampling(Strict):
    """Which frames are analysed."""

    fps: Annotated[int, Field(ge=1, le=60)] = 5
    """The most frames analysed in a second."""
    motion_gate: MotionGate = MotionGate()
    """Skip frames in which nothing moved."""
    duplicate_filter: DuplicateFilter = DuplicateFilter()
    """Skip frames that equal the one before."""


class Point(Strict):
    """A point of the frame, in permille of its width and height from the upper left corner."""

    # no field is named y: kubectl's YAML 1.1 reads that key as true
    x: Annotated[Permille, Field(alias="xPermille")]
    """From the left, in permille of the width."""
    y: Annotated[Permille, Field(alias="yPermille")]
    """From the top, in permille of the height."""


def _on_one_line(corners: list[Point]) -> bool:
    first, *others = corners
    sides = [(one.x - first.x, one.y - first.y) for one in others]
    return all(x1 * y2 == x2 * y1 for (x1, y1), (x2, y2) in combinations(sides, 2))


class Region(Ruled):
    """A named polygon in the frame."""

    name: Name
    """The name that people use for it."""
    polygon: Annotated[list[Point], Field(min_length=3, max_length=32)]
    """Its corners in order, each in permille of the frame's width and height from the upper left. All that the outline
    encloses belongs to it, also where edges cross or corners are repeated."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.polygon.exists(one, self.polygon.exists(other, "
            "(one.xPermille - self.polygon[0].xPermille) * (other.yPermille - self.polygon[0].yPermille) != "
            "(other.xPermille - self.polygon[0].xPermille) * (one.yPermille - self.polygon[0].yPermille)))",
            "polygon encloses nothing, because its corners lie on one line; list at least three that do not",
            lambda self: not _on_one_line(self.polygon),
            "polygon",
        ),
    )


def _names(regions: list[Region]) -> list[str]:
    return [region.name for region in regions]


class StillFaces(Strict):
    """Photos and posters in view."""

    after_seconds: Annotated[int, Field(ge=10, le=3600)] = 60
    """How long a face must stay where it is, as no living person does, until its sighting is marked as still."""
    sighting_hours: Annotated[int, Field(ge=1, le=168)] = 24
    """How long a still face is one sighting, also while it is hidden or the video is away; then the next one begins."""


class Detection(Ruled):
    """Which faces count."""

    min_confidence_permille: Permille | None = None
    """The detector's own calibrated threshold when left out."""
    min_face_pixels: Annotated[int, Field(ge=8, le=4096)] = 30
    """Width of the smallest face that counts, in pixels of the source frame."""
    max_faces: Annotated[int, Field(ge=1, le=100)] = 20
    """The number of faces of one frame that are analysed, largest first."""
    still_faces: StillFaces = StillFaces()
    """Photos and posters in view."""
    regions: Annotated[list[Region], Field(max_length=16, json_schema_extra=BY_NAME)] = []
    """If set, only faces whose centre lies in one of them count."""
    privacy_masks: Annotated[list[Region], Field(max_length=16, json_schema_extra=BY_NAME)] = []
    """Blackened in every frame before anything else sees it."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        unique("regions", "regions", names=lambda self: _names(self.regions)),
        unique("privacyMasks", "privacyMasks", names=lambda self: _names(self.privacy_masks)),
    )


class Recognition(Strict):
    """The use of the faces that were found."""

    mode: RecognitionMode = RecognitionMode.IDENTIFY
    """Identify compares with the gallery; DetectOnly sends sightings without embeddings."""
    threshold_permille: Permille | None = None
    """Cosine similarity from which a face is a Subject's; the model's calibrated threshold when left out."""


class Preview(Strict):
    """Live video for viewers."""

    enabled: bool = False
    """Not implemented yet."""


class Retention(Ruled):
    """How long what was seen is kept."""

    sightings: Duration | None = None
    """Days, hours, minutes and seconds in that order, such as 30d or 1h30m; sightings older than this are deleted.
    A Camera that leaves it out follows its Site; where both leave it out, identity's default applies (90d). A
    Camera's may not be longer than its Site's."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.sightings) || self.sightings.matches('[1-9]')",
            "sightings must be longer than nothing; leave it out to keep them as the Site, or the default, states",
            lambda self: self.sightings is None or any(digit in "123456789" for digit in self.sightings),
            "sightings",
        ),
    )


def _not_one_by_one(what: str, field: str, *, unset: Callable[[Any], bool], cel: str) -> Rule:
    """Refuse a GPU for single images, which are decoded on the CPU."""
    return Rule(
        f"{cel} || !(self.source.type in ['WebSocket', 'Socket'])",
        f"{what} has no meaning for type WebSocket or Socket, which are decoded on the CPU; leave it out",
        lambda self: unset(self) or self.source.type not in {SourceType.WEB_SOCKET, SourceType.SOCKET},
        field,
        "FieldValueForbidden",
    )


class CameraSpec(Ruled):
    """The desired state of a camera."""

    site_ref: LocalRef | None = None
    """The Site that the camera belongs to; left out: the one that the operator is set to. Cannot be changed."""
    source: CameraSource
    """The source of the video."""
    decode: Decode = Decode()
    """How the stream is decoded."""
    sampling: Sampling = Sampling()
    """Which frames are analysed."""
    detection: Detection = Detection()
    """Which faces count."""
    recognition: Recognition = Recognition()
    """The use of the faces that were found."""
    analyses: Annotated[list[AnalysisName], Field(min_length=1, max_length=4, json_schema_extra=AS_SET)] = [
        AnalysisName.FACES
    ]
    """The analyses of a frame; only Faces is implemented yet."""
    preview: Preview = Preview()
    """Live video for viewers; not implemented yet."""
    retention: Retention = Retention()
    """How long what was seen is kept."""
    suspend: bool = False
    """True: no pod runs and nothing is watched; what was seen stays."""
    scheduling: Scheduling = Scheduling()
    """Where the camera's pod may run, and which cameras go first."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        immutable(
            "siteRef",
            "what the camera saw belongs to its Site; delete the Camera and make it anew",
            value=lambda self: self.site_ref,
        ),
        _not_one_by_one(
            "accelerator CUDA",
            "decode.accelerator",
            unset=lambda self: self.decode.accelerator is not Accelerator.CUDA,
            cel="!has(self.decode) || !has(self.decode.accelerator) || self.decode.accelerator != 'CUDA'",
        ),
        _not_one_by_one(
            "gpu",
            "scheduling.gpu",
            unset=lambda self: not self.scheduling.gpu,
            cel="!has(self.scheduling) || !has(self.scheduling.gpu) || !self.scheduling.gpu",
        ),
        not_yet(
            "analyses",
            "any analysis but Faces",
            unset=lambda self: self.analyses == [AnalysisName.FACES],
            cel="!has(self.analyses) || self.analyses.all(one, one == 'Faces')",
        ),
        not_yet(
            "preview",
            "the live preview",
            unset=lambda self: not self.preview.enabled,
            cel="!has(self.preview) || !has(self.preview.enabled) || !self.preview.enabled",
        ),
    )


class CameraStatus(Tolerant):
    """The current conditions."""

    observed_generation: Generation | None = None
    """The generation of the spec that this status describes."""
    conditions: Annotated[list[Condition], Field(max_length=MAX_CONDITIONS, json_schema_extra=BY_TYPE)] = []
    """How the camera is."""
    site: Annotated[str, Field(max_length=63)] | None = None
    """The Site that it belongs to, also when siteRef is left out."""
    endpoint: Annotated[str, Field(max_length=512)] | None = None
    """The inference endpoint that analyses its frames, host:port."""


class Camera(Ruled):
    """A camera: the source of a video and how it is analysed. One stream pod runs for each."""

    api_version: Literal["vigil.dev/v1alpha1"] = "vigil.dev/v1alpha1"
    kind: Literal["Camera"] = "Camera"
    metadata: Metadata
    spec: CameraSpec
    """The desired state; written by a person."""
    status: CameraStatus | None = None
    """The observed state; written by the operator."""

    RULES: ClassVar[tuple[Rule, ...]] = (NAME_RULE,)
