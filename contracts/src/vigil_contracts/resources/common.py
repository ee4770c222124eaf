"""What all resources share: envelope, metadata, references, durations."""

import datetime as dt
import re
import uuid
from typing import Annotated, Final

from pydantic import Field, StringConstraints

from vigil_contracts.base import Strict, Tolerant
from vigil_contracts.ids import DNS_LABEL, ResourceKey

GROUP: Final = "vigil.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"

Name = Annotated[str, StringConstraints(pattern=rf"^{DNS_LABEL.pattern}$", max_length=63)]
Permille = Annotated[int, Field(ge=0, le=1000)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Duration = Annotated[
    str, StringConstraints(pattern=r"^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?$", min_length=2, max_length=32)
]
"""Days, hours, minutes, seconds in that order: `30d`, `1h30m`, `45s`."""

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


class Metadata(Tolerant):
    """The part of Kubernetes' ObjectMeta that Vigil reads; the rest belongs to others and is left aside."""

    name: Name
    namespace: Name = "default"
    uid: uuid.UUID | None = None
    generation: int | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}

    @property
    def key(self) -> ResourceKey:
        """Where the resource is found."""
        return ResourceKey(self.namespace, self.name)


class LocalRef(Strict):
    """A resource in the same namespace, by name."""

    name: Name


class KeyRef(Strict):
    """One key of a Secret or ConfigMap in the same namespace."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")]
    key: Annotated[str, StringConstraints(pattern=r"^[-._a-zA-Z0-9]{1,253}$")]
