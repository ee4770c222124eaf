"""Subject: a person who has agreed to be recognised."""

import datetime as dt
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AwareDatetime, Field

from vigil_contracts.base import Strict
from vigil_contracts.conditions import Condition
from vigil_contracts.registry import PhotoReason
from vigil_contracts.resources.common import KeyRef, Metadata, Name, Permille, Sha256
from vigil_contracts.resources.rules import Rule, Ruled, not_yet


class Category(StrEnum):
    """What a person is to the site."""

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
    secret_key_ref: KeyRef | None = None
    config_map_key_ref: KeyRef | None = None
    url: Annotated[str, Field(max_length=2048, pattern=r"^(https://|file:)")] | None = None
    """https://, or file: with a path relative to the manifest (without a cluster only)."""
    sha256: Sha256 | None = None
    """Of the photo's bytes; needed with url, so that what was agreed to is what is enrolled."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "[has(self.secretKeyRef), has(self.configMapKeyRef), has(self.url)].filter(x, x).size() == 1",
            "a photo names exactly one of secretKeyRef, configMapKeyRef and url",
            lambda self: sum(ref is not None for ref in (self.secret_key_ref, self.config_map_key_ref, self.url)) == 1,
        ),
        Rule(
            "!has(self.url) || has(self.sha256)",
            "a photo with url needs the sha256 of its bytes",
            lambda self: self.url is None or self.sha256 is not None,
        ),
    )


class Consent(Strict):
    """What the person agreed to."""

    status: ConsentStatus
    document_version: Annotated[str, Field(max_length=128)] | None = None
    expires_at: AwareDatetime | None = None


class Validity(Ruled):
    """When the Subject is recognised."""

    not_before: AwareDatetime | None = None
    not_after: AwareDatetime | None = None

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.notBefore) || !has(self.notAfter) || timestamp(self.notBefore) < timestamp(self.notAfter)",
            "notBefore must lie before notAfter",
            lambda self: self.not_before is None or self.not_after is None or self.not_before < self.not_after,
        ),
    )


class SubjectSpec(Ruled):
    """What a person wants Vigil to know of somebody."""

    display_name: Annotated[str, Field(min_length=1, max_length=256)]
    external_id: Annotated[str, Field(max_length=256)] | None = None
    category: Category = Category.OTHER
    photos: Annotated[list[Photo], Field(min_length=1, max_length=10)]
    consent: Consent
    validity: Validity = Validity()
    access: dict[str, Any] | None = None
    """Where and when the person may be: a camera selector and a schedule."""
    site_selector: dict[str, Any] | None = None

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.photos.all(p, self.photos.exists_one(o, o.name == p.name))",
            "two photos have the same name",
            lambda self: len({photo.name for photo in self.photos}) == len(self.photos),
        ),
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


class PhotoStatus(Strict):
    """What became of one photo."""

    name: Name
    accepted: bool
    reason: PhotoReason
    message: str = ""
    quality_permille: Permille | None = None


class SubjectStatus(Strict):
    """What is so."""

    observed_generation: int | None = None
    conditions: Annotated[list[Condition], Field(max_length=16)] = []
    photos: Annotated[list[PhotoStatus], Field(max_length=10)] = []


class Subject(Strict):
    """A person, as a Kubernetes resource."""

    api_version: Literal["vigil.dev/v1alpha1"] = "vigil.dev/v1alpha1"
    kind: Literal["Subject"] = "Subject"
    metadata: Metadata
    spec: SubjectSpec
    status: SubjectStatus | None = None

    @property
    def active_from(self) -> dt.datetime | None:
        """The first moment at which the Subject may be recognised; None: at once."""
        return self.spec.validity.not_before

    @property
    def active_until(self) -> dt.datetime | None:
        """The moment from which the Subject is no longer recognised: end of validity or of consent; None: never."""
        ends = [end for end in (self.spec.validity.not_after, self.spec.consent.expires_at) if end is not None]
        return min(ends, default=None)
