"""Subject: a person who has agreed to be recognised."""

import datetime as dt
import uuid
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from vigil_contracts.base import Tolerant
from vigil_contracts.conditions import MAX_CONDITIONS, Condition, Message
from vigil_contracts.registry import PhotoReason
from vigil_contracts.resources.common import (
    ANY_OBJECT,
    BY_NAME,
    BY_TYPE,
    NAME_RULE,
    USERINFO,
    Generation,
    KeyRef,
    Metadata,
    Moment,
    Name,
    Permille,
    Sha256,
    holds_userinfo,
    known_year,
)
from vigil_contracts.resources.rules import Rule, Ruled, not_yet, unique
from vigil_contracts.resources.text_rules import plain_text, possible_port, shown_text


class Category(StrEnum):
    """The relation of a person to the site."""

    EMPLOYEE = "Employee"
    CONTRACTOR = "Contractor"
    VISITOR = "Visitor"
    RESIDENT = "Resident"
    WATCHLIST = "Watchlist"
    OTHER = "Other"


class ConsentStatus(StrEnum):
    """Whether the person agreed; only Granted is ever matched."""

    GRANTED = "Granted"
    PENDING = "Pending"
    WITHDRAWN = "Withdrawn"


class Photo(Ruled):
    """One photo, by reference; exactly one of the three."""

    name: Name
    """The name that people use for it; `status.photos` has its result under this name."""
    secret_key_ref: KeyRef | None = None
    """A key of a Secret in this namespace with the label `vigil.dev/readable-by: Subject`; its value is the photo's
    bytes."""
    config_map_key_ref: KeyRef | None = None
    """A key of a ConfigMap in this namespace, under binaryData."""
    url: Annotated[str, Field(max_length=2048)] | None = None
    """https://, or file: with a path relative to the manifest (without a cluster only)."""
    sha256: Sha256 | None = None
    """The digest of the photo's bytes; needed with url, so that what was agreed to is what is enrolled."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "[has(self.secretKeyRef), has(self.configMapKeyRef), has(self.url)].filter(one, one).size() == 1",
            "a photo names exactly one of secretKeyRef, configMapKeyRef and url",
            lambda self: sum(ref is not None for ref in (self.secret_key_ref, self.config_map_key_ref, self.url)) == 1,
        ),
        Rule(
            "!has(self.url) || has(self.sha256)",
            "a photo with url needs the sha256 of its bytes",
            lambda self: self.url is None or self.sha256 is not None,
            "sha256",
            "FieldValueRequired",
        ),
        Rule(
            "!has(self.url) || self.url.startsWith('https://') || self.url.startsWith('file:')",
            "url must begin with https:// or, without a cluster, file:",
            lambda self: self.url is None or self.url.startswith(("https://", "file:")),
            "url",
        ),
        Rule(
            f"!has(self.url) || !self.url.matches('{USERINFO}')",
            "url holds a user or a password; put the photo into a Secret and name it in secretKeyRef",
            lambda self: self.url is None or not holds_userinfo(self.url),
            "url",
        ),
        plain_text("url", text=lambda self: self.url),
        possible_port("url", url=lambda self: self.url),
    )


class Consent(Ruled):
    """The consent of the person."""

    status: ConsentStatus
    """Only a person who granted it is ever matched, in sightings from then on."""
    document_version: Annotated[str, Field(max_length=128)] | None = None
    """The version of the text that the person agreed to."""
    expires_at: Moment | None = None
    """From then on the person is no longer matched, earlier sightings that are decided later included."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        *shown_text("documentVersion", text=lambda self: self.document_version),
        known_year("expiresAt", moment=lambda self: self.expires_at),
    )


class Validity(Ruled):
    """When the Subject is recognised."""

    not_before: Moment | None = None
    """Neither seen nor decided earlier than this."""
    not_after: Moment | None = None
    """Neither seen nor decided later than this."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.notBefore) || !has(self.notAfter) || timestamp(self.notBefore) < timestamp(self.notAfter)",
            "notBefore must lie before notAfter",
            lambda self: self.not_before is None or self.not_after is None or self.not_before < self.not_after,
            "notBefore",
        ),
        known_year("notBefore", moment=lambda self: self.not_before),
        known_year("notAfter", moment=lambda self: self.not_after),
    )


class SubjectSpec(Ruled):
    """The desired state of a subject."""

    display_name: Annotated[str, Field(min_length=1, max_length=256)]
    """The name that viewers read."""
    external_id: Annotated[str, Field(max_length=256)] | None = None
    """The person's number in another system."""
    category: Category = Category.OTHER
    """The relation of the person to the site."""
    photos: Annotated[list[Photo], Field(max_length=10, json_schema_extra=BY_NAME)] = []
    """Photos of the person alone, by reference; needed once consent is Granted."""
    consent: Consent
    """The consent of the person."""
    validity: Validity = Validity()
    """When the Subject is recognised."""
    access: Annotated[dict[str, Any], Field(json_schema_extra=ANY_OBJECT)] | None = None
    """Where and when the person may be: a camera selector and a schedule; not implemented yet."""
    site_selector: Annotated[dict[str, Any], Field(json_schema_extra=ANY_OBJECT)] | None = None
    """At which Sites the person is recognised; not implemented yet."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        *shown_text("displayName", text=lambda self: self.display_name, optional=False),
        *shown_text("externalId", text=lambda self: self.external_id),
        Rule(
            "self.consent.status != 'Granted' || (has(self.photos) && self.photos.size() > 0)",
            "a Subject with consent Granted needs at least one photo; name it in photos",
            lambda self: self.consent.status is not ConsentStatus.GRANTED or bool(self.photos),
            "photos",
            "FieldValueRequired",
        ),
        unique("photos", "photos", names=lambda self: [photo.name for photo in self.photos]),
        not_yet(
            "access", "a rule of who may be where", unset=lambda self: self.access is None, cel="!has(self.access)"
        ),
        not_yet(
            "siteSelector",
            "replication to chosen sites",
            unset=lambda self: self.site_selector is None,
            cel="!has(self.siteSelector)",
        ),
    )


class PhotoStatus(Tolerant):
    """The result of one photo."""

    name: Annotated[str, Field(max_length=63)]
    """As in the spec."""
    accepted: bool
    """It is in the gallery."""
    reason: PhotoReason
    """Why, or why not."""
    message: Message = ""
    """The measured value and the required one."""
    quality_permille: Permille | None = None
    """How good the face in it is."""


class SubjectStatus(Tolerant):
    """The current conditions."""

    observed_generation: Generation | None = None
    """The generation of the spec that this status describes."""
    conditions: Annotated[list[Condition], Field(max_length=MAX_CONDITIONS, json_schema_extra=BY_TYPE)] = []
    """How the Subject is."""
    photos: Annotated[list[PhotoStatus], Field(max_length=10, json_schema_extra=BY_NAME)] = []
    """The result of each photo."""
    subject_id: uuid.UUID | None = None
    """The id under which sightings name the person."""
    model_id: Annotated[str, Field(max_length=128)] | None = None
    """The model that the photos were enrolled with."""


class Subject(Ruled):
    """A person who has agreed to be recognised. Its deletion erases everything known of the person."""

    api_version: Literal["vigil.dev/v1alpha1"] = "vigil.dev/v1alpha1"
    kind: Literal["Subject"] = "Subject"
    metadata: Metadata
    spec: SubjectSpec
    """The desired state of a subject."""
    status: SubjectStatus | None = None
    """The observed state; written by the operator."""

    RULES: ClassVar[tuple[Rule, ...]] = (NAME_RULE,)

    @property
    def active_from(self) -> dt.datetime | None:
        """The first moment at which the Subject may be recognised; None: at once."""
        return self.spec.validity.not_before

    @property
    def active_until(self) -> dt.datetime | None:
        """The moment from which the Subject is no longer recognised: end of validity or of consent; None: never."""
        ends = [end for end in (self.spec.validity.not_after, self.spec.consent.expires_at) if end is not None]
        return min(ends, default=None)
