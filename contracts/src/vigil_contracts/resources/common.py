"""The parts that all resources share: envelope, metadata, references, moments, durations, schema notes."""

import datetime as dt
import re
import uuid
from collections.abc import Callable
from typing import Annotated, Any, Final

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, StringConstraints

from vigil_contracts.base import Strict, Tolerant
from vigil_contracts.ids import DNS_LABEL, ResourceKey
from vigil_contracts.resources.rules import Rule

GROUP: Final = "vigil.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"

BY_NAME: Final[dict[str, Any]] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
"""A list whose entries are identified by name, so that two appliers may own different entries."""

BY_TYPE: Final[dict[str, Any]] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
AS_SET: Final[dict[str, Any]] = {"x-kubernetes-list-type": "set"}
ANY_OBJECT: Final[dict[str, Any]] = {"x-kubernetes-preserve-unknown-fields": True}
"""Kept whole, so that a rule can refuse it with its own words."""

USERINFO: Final = "^[a-zA-Z]+://[^/?#]*@"
"""A user or a password in an address, for CEL and Python alike."""

Name = Annotated[str, StringConstraints(pattern=rf"^{DNS_LABEL.pattern}$", max_length=63)]
Permille = Annotated[int, Field(ge=0, le=1000)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$", max_length=64)]
Generation = Annotated[int, Field(ge=0)]
ResourceName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$", max_length=253)]
"""A DNS subdomain, as most names of Kubernetes are."""
LABEL_KEY: Final = r"^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
LabelKey = Annotated[str, StringConstraints(pattern=LABEL_KEY, max_length=317)]
"""A label's name with its optional prefix, as Kubernetes has it."""
LabelText = Annotated[
    str, StringConstraints(pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$", max_length=63)
]
"""A label's value, as Kubernetes has it; may be empty."""
Duration = Annotated[
    str,
    StringConstraints(
        pattern=r"^([0-9]{1,6}d)?([0-9]{1,7}h)?([0-9]{1,9}m)?([0-9]{1,11}s)?$", min_length=2, max_length=32
    ),
]
"""Days, hours, minutes, seconds in that order: `30d`, `1h30m`, `45s`."""

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")


def _rfc3339(value: object) -> object:
    """Accept what the API server accepts: pydantic would also read numbers, dates, spaces and missing seconds."""
    if not isinstance(value, str):
        return value
    msg = f"{value!r} is not a moment such as 2026-01-31T08:00:00Z"
    if not _MOMENT.fullmatch(value):
        raise ValueError(msg)
    try:
        return dt.datetime.fromisoformat(value)
    except ValueError:
        raise ValueError(msg) from None


Moment = Annotated[AwareDatetime, BeforeValidator(_rfc3339)]
"""RFC 3339 with a time zone."""


def known_year(field: str, *, moment: Callable[[Any], dt.datetime | None]) -> Rule:
    """Refuse a moment whose year is none of 1 to 9999 in UTC: clocks and databases do not know it.

    Parameters
    ----------
    field
        The field's camelCase name inside the object.
    moment
        Its value, of the parsed object.
    """
    first, last = "timestamp('0001-01-01T00:00:00Z')", "timestamp('9999-12-31T23:59:59.999999999Z')"
    return Rule(
        f"!has(self.{field}) || (timestamp(self.{field}) >= {first} && timestamp(self.{field}) <= {last})",
        f"{field} lies before the year 1 or after the year 9999 in UTC; leave {field} out if there is no limit",
        lambda self: (value := moment(self)) is None or _is_known(value),
        field,
    )


def _is_known(moment: dt.datetime) -> bool:
    try:
        moment.astimezone(dt.UTC)
    except OverflowError:
        return False
    return True


_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


def parse_duration(text: str) -> dt.timedelta:
    """Read a Duration field; raises ValueError with the text when it is not one, or longer than any calendar."""
    found = _DURATION.fullmatch(text)
    if found is None or not text:
        msg = f"{text!r} is not a duration such as 30d, 1h30m or 45s"
        raise ValueError(msg)
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    try:
        return dt.timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    except OverflowError:
        msg = f"{text!r} is longer than a duration can be (999999999d)"
        raise ValueError(msg) from None


def holds_userinfo(url: str) -> bool:
    """Whether an address holds a user or a password."""
    return re.match(USERINFO, url) is not None


NAME_RULE: Final = Rule(
    f"self.metadata.name.matches('^{DNS_LABEL.pattern}$')",
    "metadata.name must be a DNS label, because it is part of a bus subject: at most 63 of a-z, 0-9 and '-', no '.', "
    "beginning and ending with a letter or digit",
    lambda self: _is_label(self.metadata.name),
    "metadata.name",
)


def _is_label(name: str) -> bool:
    return DNS_LABEL.fullmatch(name) is not None


def _fitting(name: str) -> str:
    if not _is_label(name):
        raise ValueError(NAME_RULE.message)
    return name


class Metadata(Tolerant):
    """The part of Kubernetes' ObjectMeta that Vigil reads; the rest belongs to others and is left aside."""

    name: Annotated[str, AfterValidator(_fitting)]
    namespace: Name = "default"
    uid: uuid.UUID | None = None
    generation: int | None = None
    labels: dict[LabelKey, LabelText] = {}
    annotations: dict[str, str] = {}

    @property
    def key(self) -> ResourceKey:
        """Where the resource is found."""
        return ResourceKey(self.namespace, self.name)


class LocalRef(Strict):
    """A resource in the same namespace, by name."""

    name: Name
    """Its name."""


class SecretRef(Strict):
    """A Secret in the same namespace, by name."""

    name: ResourceName
    """Its name."""


class KeyRef(Strict):
    """One key of a Secret or ConfigMap in the same namespace."""

    name: ResourceName
    """Name of the Secret or ConfigMap."""
    key: Annotated[str, StringConstraints(pattern=r"^[-._a-zA-Z0-9]{1,253}$", max_length=253)]
    """Key in it."""
