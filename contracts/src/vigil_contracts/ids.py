"""Identifiers: sightings carry their time, cameras their namespace, events their revision."""

import datetime as dt
import os
import re
import threading
import time
import uuid
from typing import NamedTuple, Self

DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
"""RFC 1123 label. Vigil holds the names of resources to it too, so that they fit in a bus subject."""

_UUID7_LOCK = threading.Lock()
_uuid7_last_ms = 0


class ResourceKey(NamedTuple):
    """Where a namespaced resource is found."""

    namespace: str
    name: str

    @property
    def token(self) -> str:
        """The key as one token of a bus subject; `_` cannot occur in either part."""
        return f"{self.namespace}_{self.name}"

    @classmethod
    def from_token(cls, token: str) -> Self:
        """Read a bus token back; raises ValueError with the token when it is not one."""
        namespace, separator, name = token.partition("_")
        if not separator or not DNS_LABEL.fullmatch(namespace) or not DNS_LABEL.fullmatch(name):
            msg = f"{token!r} is not <namespace>_<name>"
            raise ValueError(msg)
        return cls(namespace, name)

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def new_sighting_id(at: dt.datetime | None = None) -> uuid.UUID:
    """Make a UUIDv7 (RFC 9562 §5.7), ordered by time; ids of one moment differ in 74 random bits, in no order.

    Parameters
    ----------
    at
        The moment the sighting opened, timezone-aware. None: now, and no two ids of this process share a millisecond,
        so that they are in the order in which they were made.
    """
    global _uuid7_last_ms  # noqa: PLW0603 - a clock shared by the process, guarded by its lock
    milliseconds = int(at.timestamp() * 1000) if at is not None else time.time_ns() // 1_000_000
    if at is None:
        with _UUID7_LOCK:
            milliseconds = _uuid7_last_ms = max(milliseconds, _uuid7_last_ms + 1)
    random = int.from_bytes(os.urandom(10), "big")
    value = (
        (milliseconds & (1 << 48) - 1) << 80
        | 0x7 << 76
        | (random >> 68 & 0xFFF) << 64
        | 0b10 << 62
        | random & (1 << 62) - 1
    )
    return uuid.UUID(int=value)


def sighting_time(sighting_id: uuid.UUID) -> dt.datetime:
    """Read the moment a sighting opened out of its id, in UTC with millisecond precision.

    Raises
    ------
    ValueError
        When the id is not a UUIDv7.
    """
    if sighting_id.version != 7:
        msg = f"sighting id {sighting_id} is a UUID of version {sighting_id.version}; version 7 is expected"
        raise ValueError(msg)
    return dt.datetime.fromtimestamp((sighting_id.int >> 80) / 1000, tz=dt.UTC)
