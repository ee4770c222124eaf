"""Camera: where pictures come from and how they are to be looked at."""

from enum import StrEnum
from typing import Annotated, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field

from vigil_contracts.base import Strict
from vigil_contracts.conditions import Condition
from vigil_contracts.resources.common import Duration, LocalRef, Metadata, Name, Permille
from vigil_contracts.resources.rules import Rule, Ruled, not_yet


class SourceType(StrEnum):
    """How a camera hands out its pictures."""

    RTSP = "RTSP"
    HTTP_MJPEG = "HTTPMJPEG"
    USB = "USB"
    WEB_SOCKET = "WebSocket"
    SOCKET = "Socket"
    FILE = "File"


SCHEMES: dict[SourceType, tuple[str, ...]] = {
    SourceType.RTSP: ("rtsp://", "rtsps://"),
    SourceType.HTTP_MJPEG: ("http://", "https://"),
    SourceType.USB: ("/dev/",),
    SourceType.WEB_SOCKET: ("ws://", "wss://"),
    SourceType.SOCKET: ("tcp://",),
    SourceType.FILE: ("file:",),
}
"""How the url of each source type begins. `file:` takes an absolute path, or one relative to the manifest."""


class Transport(StrEnum):
    """What carries RTSP's media."""

    TCP = "TCP"
    UDP = "UDP"


class Accelerator(StrEnum):
    """Where pictures are decoded; Auto takes CUDA where there is a device and says so when it falls back."""

    AUTO = "Auto"
    CUDA = "CUDA"
    CPU = "CPU"


class RecognitionMode(StrEnum):
    """Identify compares with the gallery; DetectOnly sends sightings without embeddings."""

    IDENTIFY = "Identify"
    DETECT_ONLY = "DetectOnly"


class Analysis(StrEnum):
    """What is looked for in a picture."""

    FACES = "Faces"
    PEOPLE = "People"
    PROTECTIVE_EQUIPMENT = "ProtectiveEquipment"
    VEHICLES = "Vehicles"


def _has_userinfo(url: str) -> bool:
    try:
        return "@" in urlsplit(url).netloc
    except ValueError:
        return False


def _scheme_fits(source: "CameraSource") -> bool:
    return source.url.startswith(SCHEMES[source.type])


def _scheme_rule() -> Rule:
    cases = [
        f"(self.type != '{kind}' || {' || '.join(f'self.url.startsWith({scheme!r})' for scheme in SCHEMES[kind])})"
        for kind in SourceType
    ]
    told = "; ".join(f"{kind}: {' or '.join(SCHEMES[kind])}" for kind in SourceType)
    return Rule(" && ".join(cases), f"url does not begin as its type asks ({told})", _scheme_fits)


class CameraSource(Ruled):
    """Where pictures come from."""

    type: SourceType
    url: Annotated[str, Field(min_length=5, max_length=2048)]
    """Address without user and password, for example rtsp://10.0.0.5:554/stream1, /dev/video0 or file:clip.mp4."""
    credentials_secret_ref: LocalRef | None = None
    """Secret of this namespace with the keys `username` and `password`."""
    transport: Transport | None = None
    """RTSP only; TCP when left out."""
    loop: bool = False
    """File only: begin again at the end."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!self.url.matches('^[a-zA-Z]+://[^/?#]*@')",
            "url holds a user or a password; put them into a Secret and name it in credentialsSecretRef",
            lambda self: not _has_userinfo(self.url),
        ),
        _scheme_rule(),
        Rule(
            "!has(self.transport) || self.type == 'RTSP'",
            "transport is only for type RTSP; leave it out",
            lambda self: self.transport is None or self.type is SourceType.RTSP,
        ),
        Rule(
            "!has(self.loop) || !self.loop || self.type == 'File'",
            "loop is only for type File; leave it out",
            lambda self: not self.loop or self.type is SourceType.FILE,
        ),
        Rule(
            "!has(self.credentialsSecretRef) || !(self.type in ['USB', 'File'])",
            "credentialsSecretRef has no meaning for type USB or File; leave it out",
            lambda self: self.credentials_secret_ref is None or self.type not in {SourceType.USB, SourceType.FILE},
        ),
    )


class Decode(Strict):
    """How the stream is decoded."""

    accelerator: Accelerator = Accelerator.AUTO


class MotionGate(Strict):
    """Leave pictures in which nothing moved unanalysed."""

    enabled: bool = True
    threshold_permille: Permille = 4
    """Share of the picture's area that must have changed."""


class DuplicateFilter(Strict):
    """Leave pictures that are the same as the one before unanalysed."""

    enabled: bool = True


class Sampling(Strict):
    """Which pictures are analysed."""

    fps: Annotated[int, Field(ge=1, le=60)] = 5
    motion_gate: MotionGate = MotionGate()
    duplicate_filter: DuplicateFilter = DuplicateFilter()


class Point(Strict):
    """A point of the picture, in permille of its width and height from the upper left corner."""

    x: Permille
    y: Permille


class Region(Strict):
    """A named polygon in the picture."""

    name: Name
    polygon: Annotated[list[Point], Field(min_length=3, max_length=32)]


class Detection(Ruled):
    """Which faces count."""

    min_confidence_permille: Permille | None = None
    """The detector's own calibrated threshold when left out."""
    min_face_pixels: Annotated[int, Field(ge=8, le=4096)] = 30
    """Width of the smallest face that counts, in pixels of the source picture."""
    max_faces: Annotated[int, Field(ge=1, le=100)] = 20
    """The largest so many of one picture."""
    regions: Annotated[list[Region], Field(max_length=16)] = []
    """Where given, only faces whose centre lies in one of them count."""
    privacy_masks: Annotated[list[Region], Field(max_length=16)] = []
    """Blackened before anything looks at the picture."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.regions) || self.regions.all(r, self.regions.exists_one(o, o.name == r.name))",
            "two regions have the same name",
            lambda self: _unique(self.regions),
        ),
        Rule(
            "!has(self.privacyMasks) || self.privacyMasks.all(r, self.privacyMasks.exists_one(o, o.name == r.name))",
            "two privacyMasks have the same name",
            lambda self: _unique(self.privacy_masks),
        ),
    )


def _unique(regions: list[Region]) -> bool:
    return len({region.name for region in regions}) == len(regions)


class Recognition(Strict):
    """What happens with a face that was found."""

    mode: RecognitionMode = RecognitionMode.IDENTIFY
    threshold_permille: Permille | None = None
    """Cosine similarity from which a face is a Subject's; the model's calibrated threshold when left out."""


class Preview(Strict):
    """A live picture for viewers."""

    enabled: bool = False


class Retention(Strict):
    """How long what was seen is kept."""

    sightings: Duration | None = None


class Toleration(Strict):
    """As in Kubernetes' core/v1."""

    key: str | None = None
    operator: Literal["Exists", "Equal"] = "Equal"
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None


class Scheduling(Strict):
    """Where the camera's pod may run; without a cluster it has no effect, and `vigil up` says so."""

    node_selector: dict[str, str] = {}
    tolerations: Annotated[list[Toleration], Field(max_length=16)] = []
    priority_class_name: str | None = None
    gpu: bool = False


class CameraSpec(Ruled):
    """What a person wants of a camera."""

    site_ref: LocalRef | None = None
    source: CameraSource
    decode: Decode = Decode()
    sampling: Sampling = Sampling()
    detection: Detection = Detection()
    recognition: Recognition = Recognition()
    analyses: Annotated[list[Analysis], Field(min_length=1, max_length=4)] = [Analysis.FACES]
    preview: Preview = Preview()
    retention: Retention = Retention()
    suspend: bool = False
    scheduling: Scheduling = Scheduling()

    RULES: ClassVar[tuple[Rule, ...]] = (
        not_yet(
            "analyses",
            "any analysis but Faces",
            unset=lambda self: self.analyses == [Analysis.FACES],
            cel="!has(self.analyses) || self.analyses.all(a, a == 'Faces')",
        ),
        not_yet(
            "preview",
            "the live preview",
            unset=lambda self: not self.preview.enabled,
            cel="!has(self.preview) || !has(self.preview.enabled) || !self.preview.enabled",
        ),
        not_yet(
            "retention",
            "retention per camera",
            unset=lambda self: self.retention.sightings is None,
            cel="!has(self.retention) || !has(self.retention.sightings)",
        ),
    )


class CameraStatus(Strict):
    """What is so."""

    observed_generation: int | None = None
    conditions: Annotated[list[Condition], Field(max_length=16)] = []


class Camera(Strict):
    """A camera, as a Kubernetes resource."""

    api_version: Literal["vigil.dev/v1alpha1"] = "vigil.dev/v1alpha1"
    kind: Literal["Camera"] = "Camera"
    metadata: Metadata
    spec: CameraSpec
    status: CameraStatus | None = None
