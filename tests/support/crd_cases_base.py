"""What a row about a rule of the definitions consists of, and the manifests that rows are made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vigil_contracts.resources import API_VERSION

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


def region(name: str, corners: Sequence[tuple[int, int]] = ((0, 0), (1000, 0), (0, 1000))) -> Document:
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
        What the API server prints before the message.
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
NAME = (
    "metadata.name must be a DNS label, because it is part of a bus subject: at most 63 of a-z, 0-9 and '-', no '.', "
    "beginning and ending with a letter or digit"
)
NOTHING = "sightings must be longer than nothing; leave it out to keep them as the Site, or the default, states"
SOME_TIME: tuple[Document, ...] = {"sightings": "30d"}, {"sightings": "1h30m"}, {}
NO_TIME: tuple[Document, ...] = {"sightings": "0s"}, {"sightings": "00d0h"}


def names(kind: str) -> Case:
    return Case(kind, "", "metadata.name", NAME, (named(kind, "a"), named(kind, "a-" + "b" * 61)), (
        named(kind, "front.door"),
        named(kind, "a" * 64),
    ))  # fmt: skip
