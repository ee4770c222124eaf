"""One row for every rule of the custom resource definitions: what it takes, what it refuses, and with which words."""

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from vigil_contracts.crds import definition
from vigil_contracts.resources import API_VERSION, KINDS

Document = dict[str, Any]
SHA = "0" * 64


def resource(kind: str, spec: Document, name: str = "row") -> Document:
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}


def camera(**spec: Any) -> Document:
    return resource("Camera", {"source": {"type": "RTSP", "url": "rtsp://10.0.0.5:554/stream1"}, **spec})


def source(kind: str, url: str, **fields: Any) -> Document:
    return camera(source={"type": kind, "url": url, **fields})


def rtsp(**fields: Any) -> Document:
    return source("RTSP", "rtsp://10.0.0.5/1", **fields)


def subject(**spec: Any) -> Document:
    body = {"displayName": "Ada", "photos": [photo()], "consent": {"status": "Granted"}, **spec}
    return resource("Subject", body)


def photo(name: str = "front", **fields: Any) -> Document:
    return {"name": name, **(fields or {"secretKeyRef": {"name": "photos", "key": "front.jpg"}})}


def photos(**fields: Any) -> Document:
    return subject(photos=[photo(**fields)])


def site(**spec: Any) -> Document:
    return resource("Site", spec)


def region(name: str) -> Document:
    corners = ((0, 0), (1000, 0), (0, 1000))
    return {"name": name, "polygon": [{"xPermille": x, "yPermille": y} for x, y in corners]}


def toleration(**fields: Any) -> Document:
    return camera(scheduling={"tolerations": [fields]})


def endpoint(address: str, name: str = "gpu") -> Document:
    return {"name": name, "address": address}


def triton(*endpoints: Document) -> Document:
    return site(inference={"endpoints": list(endpoints)})


def named(kind: str, name: str) -> Document:
    whole = {"Camera": camera(), "Subject": subject(), "Site": site()}[kind]
    return {**whole, "metadata": {"name": name}}


@dataclass(frozen=True)
class Case:
    """One rule.

    Attributes
    ----------
    at
        Path of the object that has the rule, as the schema has it.
    where
        Path of the value at fault, as people read it.
    refused
        Breaks this rule and no other.
    before
        For a rule about changes: what is there when the others are applied.
    how
        What the API server says before the message.
    """

    kind: str
    at: str
    where: str
    message: str
    accepted: tuple[Document, ...]
    refused: tuple[Document, ...]
    before: Document | None = None
    how: str = "Invalid value"

    @property
    def key(self) -> tuple[str, str, str]:
        return self.kind, self.at, self.message

    @property
    def line(self) -> str:
        return f"{self.where}: {self.how}: {self.message}"


FORBIDDEN = "Forbidden"
SOURCE = "spec.source"
PHOTO, PHOTO_AT = "spec.photos[0]", "spec.photos[]"
TOLERATION, TOLERATION_AT = "spec.scheduling.tolerations[0]", "spec.scheduling.tolerations[]"
ENDPOINT, ENDPOINT_AT = "spec.inference.endpoints[0]", "spec.inference.endpoints[]"
NAME = (
    "metadata.name must be a DNS label, because it is part of a bus subject: at most 63 of a-z, 0-9 and '-', no '.', "
    "beginning and ending with a letter or digit"
)
SCHEMES = (
    "url does not begin as its type asks (RTSP: rtsp:// or rtsps://; HTTPMJPEG: http:// or https://; USB: /dev/; "
    "WebSocket: ws:// or wss://; Socket: tcp://; File: file:)"
)
CUDA = {"accelerator": "CUDA"}
DECODED_BY_FFMPEG = {
    "RTSP": "rtsp://h/1",
    "HTTPMJPEG": "http://h/1",
    "USB": "/dev/video0",
    "File": "file:clip.mp4",
}
NOTHING = "sightings must be longer than nothing; leave it out to keep them as long as the Site says, or for ever"
SOME_TIME: tuple[Document, ...] = {"sightings": "30d"}, {"sightings": "1h30m"}, {}
NO_TIME: tuple[Document, ...] = {"sightings": "0s"}, {"sightings": "00d0h"}


def _names(kind: str) -> Case:
    return Case(kind, "", "metadata.name", NAME, (named(kind, "a"), named(kind, "a-" + "b" * 61)), (
        named(kind, "front.door"),
        named(kind, "a" * 64),
    ))  # fmt: skip


CAMERAS = (
    _names("Camera"),
    Case(
        "Camera",
        SOURCE,
        "spec.source.url",
        "url holds a user or a password; put them into a Secret and name it in credentialsSecretRef",
        (rtsp(), source("RTSP", "rtsp://10.0.0.5/path?user=@home"), source("HTTPMJPEG", "http://h/a@b")),
        (source("RTSP", "rtsp://admin:secret@10.0.0.5/1"), source("WebSocket", "ws://admin@h/1")),
    ),
    Case(
        "Camera",
        SOURCE,
        "spec.source.url",
        SCHEMES,
        (
            source("RTSP", "rtsps://h/1"),
            source("HTTPMJPEG", "https://h/1"),
            source("USB", "/dev/video0"),
            source("WebSocket", "wss://h/1"),
            source("Socket", "tcp://h:9000"),
            source("File", "file:clip.mp4"),
        ),
        (
            source("RTSP", "http://h/1"),
            source("USB", "video0"),
            source("File", "/clip.mp4"),
            source("Socket", "h:9000"),
        ),
    ),
    Case(
        "Camera",
        SOURCE,
        "spec.source.url",
        "url names no host; write it after the //, as in rtsp://10.0.0.5:554/stream1",
        (source("RTSP", "rtsp://[2001:db8::5]/a"), source("RTSP", "rtsp://h"), source("File", "file:///clip.mp4")),
        (source("RTSP", "rtsp://"), source("RTSP", "rtsp:///stream1"), source("Socket", "tcp://:9000")),
    ),
    Case(
        "Camera",
        SOURCE,
        "spec.source.url",
        "url holds a space or a line break; take it out, or write a space that belongs to it as %20",
        (source("HTTPMJPEG", "http://h/my%20clip"), source("File", "file:my clip.mp4")),
        (
            source("RTSP", "rtsp://h:554/my clip"),
            source("USB", "/dev/video0 "),
            source("HTTPMJPEG", "http://h/a\tb"),
            source("RTSP", "rtsp://h/1\n"),
        ),
    ),
    Case(
        "Camera",
        SOURCE,
        "spec.source.transport",
        "transport is only for type RTSP; leave it out",
        (rtsp(transport="UDP"), source("USB", "/dev/video0")),
        (source("HTTPMJPEG", "http://h/1", transport="TCP"),),
        how=FORBIDDEN,
    ),
    Case(
        "Camera",
        SOURCE,
        "spec.source.loop",
        "loop is only for type File; leave it out",
        (source("File", "file:a.mp4", loop=True), rtsp(loop=False)),
        (rtsp(loop=True),),
        how=FORBIDDEN,
    ),
    Case(
        "Camera",
        SOURCE,
        "spec.source.credentialsSecretRef",
        "credentialsSecretRef has no meaning for type USB, Socket or File; leave it out",
        (
            rtsp(credentialsSecretRef={"name": "door.example"}),
            source("WebSocket", "ws://h/1", credentialsSecretRef={"name": "door"}),
            source("HTTPMJPEG", "http://h/1", credentialsSecretRef={"name": "door"}),
        ),
        (
            source("USB", "/dev/video0", credentialsSecretRef={"name": "door"}),
            source("Socket", "tcp://h:9000", credentialsSecretRef={"name": "door"}),
            source("File", "file:a.mp4", credentialsSecretRef={"name": "door"}),
        ),
        how=FORBIDDEN,
    ),
    Case(
        "Camera",
        "spec",
        "spec.decode.accelerator",
        "accelerator CUDA has no meaning for type WebSocket or Socket, which are decoded on the CPU; leave it out",
        (
            *(camera(decode=CUDA, source={"type": kind, "url": url}) for kind, url in DECODED_BY_FFMPEG.items()),
            camera(decode={"accelerator": "CPU"}, source={"type": "WebSocket", "url": "ws://h/1"}),
            camera(decode={}, source={"type": "Socket", "url": "tcp://h:9000"}),
        ),
        (
            camera(decode=CUDA, source={"type": "WebSocket", "url": "ws://h/1"}),
            camera(decode=CUDA, source={"type": "Socket", "url": "tcp://h:9000"}),
        ),
        how=FORBIDDEN,
    ),
    Case(
        "Camera",
        "spec.detection",
        "spec.detection.regions",
        "two regions have the same name",
        (camera(detection={"regions": [region("a"), region("b")]}),),
        (camera(detection={"regions": [region("a"), region("b"), region("a")]}),),
    ),
    Case(
        "Camera",
        "spec.detection",
        "spec.detection.privacyMasks",
        "two privacyMasks have the same name",
        (camera(detection={"privacyMasks": [region("a"), region("b")], "regions": [region("a")]}),),
        (camera(detection={"privacyMasks": [region("a"), region("a")]}),),
    ),
    Case(
        "Camera",
        "spec",
        "spec.analyses",
        "analyses: any analysis but Faces is not implemented yet; leave analyses out",
        (camera(analyses=["Faces"]), camera()),
        (camera(analyses=["People"]), camera(analyses=["Faces", "Vehicles"])),
        how=FORBIDDEN,
    ),
    Case(
        "Camera",
        "spec",
        "spec.preview",
        "preview: the live preview is not implemented yet; leave preview out",
        (camera(preview={"enabled": False}), camera(preview={})),
        (camera(preview={"enabled": True}),),
        how=FORBIDDEN,
    ),
    Case(
        "Camera",
        "spec",
        "spec.siteRef",
        "siteRef cannot be changed; what the camera saw belongs to its Site; delete the Camera and make it anew",
        (camera(siteRef={"name": "hq"}, suspend=True),),
        (camera(siteRef={"name": "plant"}), camera()),
        before=camera(siteRef={"name": "hq"}),
        how=FORBIDDEN,
    ),
    Case(
        "Camera",
        "spec.retention",
        "spec.retention.sightings",
        NOTHING,
        tuple(camera(retention=one) for one in SOME_TIME),
        tuple(camera(retention=one) for one in NO_TIME),
    ),
    Case(
        "Camera",
        TOLERATION_AT,
        f"{TOLERATION}.operator",
        "a toleration without key needs operator Exists",
        (toleration(operator="Exists"), toleration(key="gpu", value="yes"), toleration(key="example.org/gpu")),
        (toleration(value="yes"), toleration(operator="Equal")),
    ),
    Case(
        "Camera",
        TOLERATION_AT,
        f"{TOLERATION}.value",
        "value has no meaning with operator Exists; leave it out",
        (toleration(key="gpu", operator="Exists"), toleration(key="gpu", operator="Exists", value="")),
        (toleration(key="gpu", operator="Exists", value="yes"),),
        how=FORBIDDEN,
    ),
)
URL = {"url": "https://example.org/a.jpg", "sha256": SHA}
ONE = "a photo names exactly one of secretKeyRef, configMapKeyRef and url"
KEY = {"name": "photos", "key": "a.jpg"}
SUBJECTS = (
    _names("Subject"),
    Case(
        "Subject",
        PHOTO_AT,
        PHOTO,
        ONE,
        (photos(secretKeyRef=KEY), photos(configMapKeyRef=KEY), photos(**URL)),
        (photos(sha256=SHA), photos(secretKeyRef=KEY, configMapKeyRef=KEY), photos(secretKeyRef=KEY, **URL)),
    ),
    Case(
        "Subject",
        PHOTO_AT,
        f"{PHOTO}.sha256",
        "a photo with url needs the sha256 of its bytes",
        (photos(**URL),),
        (photos(url="https://example.org/a.jpg"), photos(url="file:a.jpg")),
        how="Required value",
    ),
    Case(
        "Subject",
        PHOTO_AT,
        f"{PHOTO}.url",
        "url must begin with https:// or, without a cluster, file:",
        (photos(**URL), photos(url="file:a.jpg", sha256=SHA)),
        (photos(url="http://example.org/a.jpg", sha256=SHA), photos(url="a.jpg", sha256=SHA)),
    ),
    Case(
        "Subject",
        PHOTO_AT,
        f"{PHOTO}.url",
        "url holds a user or a password; put the photo into a Secret and name it in secretKeyRef",
        (photos(url="https://example.org/@ada.jpg", sha256=SHA),),
        (photos(url="https://ada:secret@example.org/a.jpg", sha256=SHA),),
    ),
    Case(
        "Subject",
        "spec",
        "spec.photos",
        "two photos have the same name",
        (subject(photos=[photo("a"), photo("b")]),),
        (subject(photos=[photo("a"), photo("a", **URL)]),),
    ),
    Case(
        "Subject",
        "spec",
        "spec.access",
        "access: a rule of who may be where is not implemented yet; leave access out",
        (subject(),),
        (subject(access={"anything": 1}), subject(access={})),
        how=FORBIDDEN,
    ),
    Case(
        "Subject",
        "spec",
        "spec.siteSelector",
        "siteSelector: replication to chosen sites is not implemented yet; leave siteSelector out",
        (subject(),),
        (subject(siteSelector={"matchLabels": {"a": "b"}}),),
        how=FORBIDDEN,
    ),
    Case(
        "Subject",
        "spec.validity",
        "spec.validity.notBefore",
        "notBefore must lie before notAfter",
        (
            subject(validity={"notBefore": "2026-01-01T00:00:00Z", "notAfter": "2026-01-01T00:00:00-01:00"}),
            subject(validity={"notAfter": "2026-01-01T00:00:00Z"}),
        ),
        (
            subject(validity={"notBefore": "2026-02-01T00:00:00Z", "notAfter": "2026-01-01T00:00:00Z"}),
            subject(validity={"notBefore": "2026-01-01T00:00:00Z", "notAfter": "2026-01-01T00:00:00.000Z"}),
        ),
    ),
)
ADDRESS = "address must be host:port, such as triton:8001, without a scheme, a path or a user"
SITES = (
    _names("Site"),
    Case(
        "Site",
        "spec",
        "spec.timezone",
        "timezone is not in the IANA database; give a name such as Europe/Berlin or UTC",
        (site(timezone="Europe/Berlin"), site(timezone="America/Argentina/Buenos_Aires"), site(timezone="Etc/GMT+5")),
        (site(timezone="Mars Base 1"), site(timezone="Europe/"), site(timezone="+01:00")),
    ),
    Case(
        "Site",
        "spec",
        "spec.upstream",
        "upstream is only for role Edge: a Central Site has none above it; leave upstream out",
        (site(role="Central"),),
        (site(role="Central", upstream={"url": "nats://centre"}), site(upstream={})),
        how=FORBIDDEN,
    ),
    Case(
        "Site",
        "spec",
        "spec.role",
        "role: the role Edge is not implemented yet; leave role out",
        (site(role="Central"), site()),
        (site(role="Edge"),),
        how=FORBIDDEN,
    ),
    Case(
        "Site",
        "spec",
        "spec.role",
        "role cannot be changed; what the Site keeps depends on it; delete the Site and make it anew",
        (site(role="Central", displayName="HQ"),),
        (site(role="Edge"),),
        before=site(),
        how=FORBIDDEN,
    ),
    Case(
        "Site",
        "spec",
        "spec.sync",
        "sync: synchronisation between sites is not implemented yet; leave sync out",
        (site(),),
        (site(sync={"scope": "All"}), site(sync={})),
        how=FORBIDDEN,
    ),
    Case(
        "Site",
        "spec.bus",
        "spec.bus.url",
        "url holds a user or a password; put the token into a Secret and name it in credentialsSecretRef",
        (site(bus={"url": "nats://bus:4222"}),),
        (site(bus={"url": "nats://token@bus:4222"}), site(bus={"url": "tls://a:b@bus"})),
    ),
    Case(
        "Site",
        "spec.bus",
        "spec.bus.url",
        "url must begin with nats:// or tls://",
        (site(bus={"url": "tls://bus:4222"}), site(bus={})),
        (site(bus={"url": "bus:4222"}), site(bus={"url": "nats://"}), site(bus={"url": "http://bus"})),
    ),
    Case(
        "Site",
        "spec.inference",
        "spec.inference.endpoints",
        "two endpoints have the same name",
        (triton(endpoint("t:1", "a"), endpoint("t:1", "b")),),
        (triton(endpoint("t:1", "a"), endpoint("t:2", "a")),),
    ),
    Case(
        "Site",
        ENDPOINT_AT,
        f"{ENDPOINT}.address",
        ADDRESS,
        (triton(endpoint("triton:8001")), triton(endpoint("[2001:db8::1]:8001"))),
        (triton(endpoint("http://triton:8001")), triton(endpoint("triton")), triton(endpoint("a@triton:8001"))),
    ),
    Case(
        "Site",
        "spec.retention",
        "spec.retention.sightings",
        NOTHING,
        tuple(site(retention=one) for one in SOME_TIME),
        tuple(site(retention=one) for one in NO_TIME),
    ),
)
CASES = CAMERAS + SUBJECTS + SITES


def rules() -> set[tuple[str, str, str]]:
    """List every rule that the generated definitions carry, as (kind, path of its object, message)."""
    return {(kind, path.removeprefix("."), message) for kind in KINDS for path, message in _rules("", _schema(kind))}


def _schema(kind: str) -> Document:
    found: Document = definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return deepcopy(found)


def _rules(path: str, schema: Document) -> list[tuple[str, str]]:
    found = [(path, rule["message"]) for rule in schema.get("x-kubernetes-validations", [])]
    for name, child in schema.get("properties", {}).items():
        found += _rules(f"{path}.{name}", child)
    for word, mark in (("items", "[]"), ("additionalProperties", "[*]")):
        if isinstance(schema.get(word), dict):
            found += _rules(f"{path}{mark}", schema[word])
    return found


def ids(case: Case) -> str:
    return f"{case.kind}: {case.message}"
