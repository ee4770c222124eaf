"""Site: a place with cameras, a bus and inference of its own."""

from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field

from vigil_contracts.base import Strict
from vigil_contracts.conditions import Condition
from vigil_contracts.resources.camera import Retention
from vigil_contracts.resources.common import LocalRef, Metadata, Name
from vigil_contracts.resources.rules import Rule, Ruled, not_yet


class SiteRole(StrEnum):
    """Central gathers what Edge sites send."""

    CENTRAL = "Central"
    EDGE = "Edge"


def _known_timezone(name: str) -> str:
    if name not in available_timezones():
        msg = f"{name!r} is not a time zone of the IANA database, such as Europe/Berlin or UTC"
        raise ValueError(msg)
    return name


class Bus(Strict):
    """The NATS of this site."""

    url: Annotated[str, Field(pattern=r"^(nats|tls)://[^@]+$", max_length=512)] | None = None
    credentials_secret_ref: LocalRef | None = None


class InferenceEndpoint(Strict):
    """One Triton server, reached over gRPC."""

    name: Name
    address: Annotated[str, Field(pattern=r"^[^/@\s]+:[0-9]{1,5}$", max_length=512)]
    """host:port."""


class Inference(Ruled):
    """Triton servers in order of preference."""

    endpoints: Annotated[list[InferenceEndpoint], Field(max_length=8)] = []

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.endpoints) || self.endpoints.all(e, self.endpoints.exists_one(o, o.name == e.name))",
            "two endpoints have the same name",
            lambda self: len({end.name for end in self.endpoints}) == len(self.endpoints),
        ),
    )


class Location(Strict):
    """Where the site is, in microdegrees, because resources hold no floats."""

    latitude_microdegrees: Annotated[int, Field(ge=-90_000_000, le=90_000_000)]
    longitude_microdegrees: Annotated[int, Field(ge=-180_000_000, le=180_000_000)]
    address: Annotated[str, Field(max_length=512)] | None = None


class SiteSpec(Ruled):
    """What a person wants of a site."""

    role: SiteRole = SiteRole.CENTRAL
    display_name: Annotated[str, Field(max_length=256)] | None = None
    timezone: Annotated[str, AfterValidator(_known_timezone), Field(max_length=64)] = "UTC"
    location: Location | None = None
    bus: Bus = Bus()
    inference: Inference = Inference()
    upstream: dict[str, Any] | None = None
    sync: dict[str, Any] | None = None
    retention: Retention = Retention()

    RULES: ClassVar[tuple[Rule, ...]] = (
        not_yet(
            "upstream", "joining a central site", unset=lambda self: self.upstream is None, cel="!has(self.upstream)"
        ),
        not_yet("sync", "synchronisation between sites", unset=lambda self: self.sync is None, cel="!has(self.sync)"),
        not_yet(
            "retention",
            "retention by site",
            unset=lambda self: self.retention.sightings is None,
            cel="!has(self.retention) || !has(self.retention.sightings)",
        ),
        not_yet(
            "role",
            "the role Edge",
            unset=lambda self: self.role is SiteRole.CENTRAL,
            cel="!has(self.role) || self.role == 'Central'",
        ),
    )


class SiteStatus(Strict):
    """What is so."""

    observed_generation: int | None = None
    conditions: Annotated[list[Condition], Field(max_length=16)] = []
    gallery_version: str | None = None
    backlog: Annotated[int, Field(ge=0)] | None = None


class Site(Strict):
    """A place, as a Kubernetes resource."""

    api_version: Literal["vigil.dev/v1alpha1"] = "vigil.dev/v1alpha1"
    kind: Literal["Site"] = "Site"
    metadata: Metadata
    spec: SiteSpec = SiteSpec()
    status: SiteStatus | None = None
