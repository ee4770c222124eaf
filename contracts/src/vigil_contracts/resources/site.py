"""Site: a place with cameras, a bus and inference of its own."""

import re
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal
from zoneinfo import available_timezones

from pydantic import Field

from vigil_contracts.base import Tolerant
from vigil_contracts.conditions import MAX_CONDITIONS, Condition, Message
from vigil_contracts.resources.camera import Retention
from vigil_contracts.resources.common import (
    ANY_OBJECT,
    BY_NAME,
    BY_TYPE,
    NAME_RULE,
    USERINFO,
    Generation,
    Metadata,
    Name,
    SecretRef,
    holds_userinfo,
)
from vigil_contracts.resources.rules import Rule, Ruled, immutable, not_yet, unique
from vigil_contracts.resources.text_rules import PORT, plain_text, possible_port, shown_text


class SiteRole(StrEnum):
    """Central gathers what Edge sites send."""

    CENTRAL = "Central"
    EDGE = "Edge"


class Bus(Ruled):
    """The NATS of this site."""

    url: Annotated[str, Field(max_length=512)] | None = None
    """nats://host:port or tls://host:port; left out: the bus that the operator is set to."""
    credentials_secret_ref: SecretRef | None = None
    """Secret with the key `token` and the label `vigil.dev/readable-by: Site`, in the namespace of each Camera
    of this Site and in the Site's own."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            f"!has(self.url) || !self.url.matches('{USERINFO}')",
            "url holds a user or a password; put the token into a Secret and name it in credentialsSecretRef",
            lambda self: self.url is None or not holds_userinfo(self.url),
            "url",
        ),
        Rule(
            "!has(self.url) || self.url.matches('^(nats|tls)://.')",
            "url must begin with nats:// or tls://",
            lambda self: self.url is None or _after_scheme(self.url),
            "url",
        ),
        plain_text("url", text=lambda self: self.url),
        possible_port("url", url=lambda self: self.url),
    )


def _after_scheme(url: str) -> bool:
    return any(url.startswith(scheme) and len(url) > len(scheme) for scheme in ("nats://", "tls://"))


_ADDRESS = f"^[^/@ ]+:{PORT}$"


class InferenceEndpoint(Ruled):
    """One Triton server, reached over gRPC."""

    name: Name
    """The name that people use for it."""
    address: Annotated[str, Field(max_length=512)]
    """host:port of its gRPC."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            f"self.address.matches('{_ADDRESS}')",
            "address must be host:port, such as triton:8001, without a scheme, a path or a user",
            lambda self: re.fullmatch(_ADDRESS, self.address) is not None,
            "address",
        ),
        plain_text("address", text=lambda self: self.address, optional=False),
    )


class Inference(Ruled):
    """Triton servers in order of preference."""

    endpoints: Annotated[list[InferenceEndpoint], Field(max_length=8, json_schema_extra=BY_NAME)] = []
    """In order of preference; left out: the ones that the operator is set to."""
    detections_per_second: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """How many images of 640 by 384 all endpoints together put through the detector in a second. Cameras beyond that
    wait. Left out: what Triton reports, else no limit."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        unique("endpoints", "endpoints", names=lambda self: [end.name for end in self.endpoints]),
    )


class Location(Ruled):
    """Where the site is, in microdegrees, because resources hold no floats."""

    latitude_microdegrees: Annotated[int, Field(ge=-90_000_000, le=90_000_000)]
    """Positive: north."""
    longitude_microdegrees: Annotated[int, Field(ge=-180_000_000, le=180_000_000)]
    """Positive: east."""
    address: Annotated[str, Field(max_length=512)] | None = None
    """For people."""

    RULES: ClassVar[tuple[Rule, ...]] = shown_text("address", text=lambda self: self.address)


class SiteSpec(Ruled):
    """The desired state of a site."""

    role: SiteRole = SiteRole.CENTRAL
    """Central gathers what Edge sites send; Edge is not implemented yet. Cannot be changed."""
    display_name: Annotated[str, Field(max_length=256)] | None = None
    """For people."""
    timezone: Annotated[str, Field(min_length=1, max_length=64)] = "UTC"
    """Name of the IANA database, such as Europe/Berlin. The API server checks its form, the operator and `vigil check`
    that it is there."""
    location: Location | None = None
    """Where the site is."""
    bus: Bus = Bus()
    """The NATS of this site."""
    inference: Inference = Inference()
    """Triton servers in order of preference, and what they can do."""
    upstream: Annotated[dict[str, Any], Field(json_schema_extra=ANY_OBJECT)] | None = None
    """The Central Site that an Edge sends to; not implemented yet."""
    sync: Annotated[dict[str, Any], Field(json_schema_extra=ANY_OBJECT)] | None = None
    """The data that an Edge sends; not implemented yet."""
    retention: Retention = Retention()
    """How long what was seen here is kept: the default and the ceiling of its Cameras."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.timezone) || self.timezone.matches('^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$')",
            "timezone is not in the IANA database; give a name such as Europe/Berlin or UTC",
            lambda self: self.timezone in available_timezones(),
            "timezone",
        ),
        Rule(
            "!has(self.upstream) || (has(self.role) && self.role == 'Edge')",
            "upstream is only for role Edge: a Central Site has none above it; leave upstream out",
            lambda self: self.upstream is None or self.role is SiteRole.EDGE,
            "upstream",
            "FieldValueForbidden",
        ),
        not_yet(
            "role",
            "the role Edge",
            unset=lambda self: self.role is SiteRole.CENTRAL,
            cel="!has(self.role) || self.role == 'Central'",
        ),
        *shown_text("displayName", text=lambda self: self.display_name),
        not_yet("sync", "synchronisation between sites", unset=lambda self: self.sync is None, cel="!has(self.sync)"),
        immutable(
            "role",
            "what the Site keeps depends on it; delete the Site and make it anew",
            value=lambda self: self.role,
        ),
    )


class EndpointStatus(Tolerant):
    """One inference endpoint."""

    name: Annotated[str, Field(max_length=63)]
    """As in the spec."""
    address: Annotated[str, Field(max_length=512)]
    """host:port."""
    ready: bool
    """It answers and serves the models."""
    message: Message = ""
    """Why not."""


class SiteStatus(Tolerant):
    """The current conditions."""

    observed_generation: Generation | None = None
    """The generation of the spec that this status describes."""
    conditions: Annotated[list[Condition], Field(max_length=MAX_CONDITIONS, json_schema_extra=BY_TYPE)] = []
    """How the site is."""
    endpoints: Annotated[list[EndpointStatus], Field(max_length=8, json_schema_extra=BY_NAME)] = []
    """The inference endpoints, in order of preference."""
    gallery_version: Annotated[str, Field(max_length=128)] | None = None
    """Model and state of the gallery that the site compares with."""
    backlog: Annotated[int, Field(ge=0)] | None = None
    """Sighting events on the bus that are not yet consumed."""
    cameras: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None
    """Cameras that belong to the site."""


class Site(Ruled):
    """A place with cameras, a bus and inference of its own."""

    api_version: Literal["vigil.dev/v1alpha1"] = "vigil.dev/v1alpha1"
    kind: Literal["Site"] = "Site"
    metadata: Metadata
    spec: SiteSpec = SiteSpec()
    """The desired state; written by a person."""
    status: SiteStatus | None = None
    """The observed state; written by the operator."""

    RULES: ClassVar[tuple[Rule, ...]] = (NAME_RULE,)
