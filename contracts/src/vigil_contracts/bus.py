"""Names on the bus: subjects, streams and headers. Every program builds and reads them here."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from vigil_contracts.ids import DNS_LABEL, ResourceKey

ROOT = "vigil"
MSG_ID_HEADER = "Nats-Msg-Id"
"""JetStream drops a second message with the same value inside the stream's duplicate window."""

IDENTITY_CONSUMER = "identity"
"""The durable consumer of sightings, which all identity processes of a site share."""

POSITION_HEADER = "Vigil-Position"
"""Of a sighting event, by which identity notices that an event before it is missing."""

SENT_AT_HEADER = "Vigil-Sent-At"
"""When the message was sent, by the sender's clock, in ISO 8601. The bus' own timestamp beside it shows the offset of
that clock, however long the event waited before."""

DIGEST_BYTES = 16
"""Of the digest in a message id."""

CONTENT_TYPE = "application/cloudevents+json"
MAX_EVENT_BYTES = 256 * 1024
"""A sighting with five 512-d embeddings is 18 KiB; an event of Vigil does not come near this limit."""


class MessageKind(StrEnum):
    """The kinds of messages on the bus."""

    SIGHTING = "sighting"
    MATCH = "match"
    CAMERA = "camera"
    ALERT = "alert"
    AUDIT = "audit"
    ERASURE = "erasure"


class Position(NamedTuple):
    """The place of an event among all sighting events of one journal, which counts them from 1 without a gap.

    Attributes
    ----------
    epoch
        Names the journal: 16 hexadecimal digits. A journal that replaces a lost one has another epoch.
    """

    epoch: str
    number: int

    def __str__(self) -> str:
        """Return the value of the header."""
        return f"{self.epoch}:{self.number}"

    @classmethod
    def parse(cls, text: str) -> "Position | None":
        """Return the position in a header; None when it is none, such as that of a later version."""
        found = _POSITION.fullmatch(text)
        return cls(found[1], int(found[2])) if found else None


_POSITION = re.compile(r"([0-9a-f]{16}):([1-9][0-9]{0,14})", re.ASCII)


class BusSubject(NamedTuple):
    """A subject taken apart: `vigil.<site>.<kind>.<rest>`."""

    site: str
    kind: MessageKind
    camera: ResourceKey | None


def bus_subject(site: str, kind: MessageKind, camera: ResourceKey) -> str:
    """Return the subject of one camera's events of one kind."""
    return f"{ROOT}.{_site(site)}.{kind}.{camera.token}"


def message_id(camera: ResourceKey, event_id: str, body: bytes) -> str:
    """Return the message id of a camera's event, which begins with the camera's token and that no other can foresee.

    JetStream drops a message whose id it has seen, whichever subject that came on. The digest of the body is part of
    the id, so that it is known to the camera alone until the event is stored, and the same however often it is sent.
    """
    return f"{camera.token}:{event_id}:{hashlib.blake2b(body, digest_size=DIGEST_BYTES).hexdigest()}"


def owns_message_id(camera: ResourceKey, message_id: str, event_id: str) -> bool:
    """Return whether a message id is one of a camera's event; earlier versions took the event's id alone."""
    return message_id == event_id or message_id.startswith(f"{camera.token}:")


def bus_subjects(site: str, kind: MessageKind) -> str:
    """Return all subjects of one kind at a site, as a wildcard."""
    return f"{ROOT}.{_site(site)}.{kind}.>"


def parse_subject(text: str) -> BusSubject:
    """Return the parts of a camera's subject; raise ValueError that names the faulty part."""
    parts = text.split(".")
    if len(parts) != 4 or parts[0] != ROOT:
        msg = f"{text!r} is not {ROOT}.<site>.<kind>.<camera>"
        raise ValueError(msg)
    return BusSubject(_site(parts[1]), MessageKind(parts[2]), ResourceKey.from_token(parts[3]))


def _site(site: str) -> str:
    if not DNS_LABEL.fullmatch(site):
        msg = f"site {site!r} is not a DNS label (a-z, 0-9, '-', at most 63)"
        raise ValueError(msg)
    return site


@dataclass(frozen=True, slots=True)
class Stream:
    """A JetStream stream as data, so that whichever program starts first creates the same one.

    Attributes
    ----------
    max_age_s, duplicate_window_s
        In seconds; 0 means without limit.
    max_bytes
        In bytes; the oldest messages go first, except in a work queue.
    max_msgs_per_subject
        -1 means without limit; 1 keeps the last state only.
    work_queue
        Keeps each message until its one consumer has acknowledged it; a full stream refuses new messages.
    """

    name: str
    subjects: tuple[str, ...]
    max_age_s: int
    max_bytes: int
    max_msgs_per_subject: int = -1
    duplicate_window_s: int = 600
    work_queue: bool = False

    @property
    def effective_duplicate_window_s(self) -> int:
        """The duplicate window that JetStream takes: no longer than messages are kept."""
        return min(self.duplicate_window_s, self.max_age_s or self.duplicate_window_s)

    def missing_from(self, held: Iterable[str]) -> tuple[str, ...]:
        """Return the subjects that an existing stream lacks, so that Vigil's messages are kept.

        The rest of such a stream, its bounds above all, stays as its administrator set it.

        Parameters
        ----------
        held
            Its subjects; empty when it mirrors another stream, which cannot have any.
        """
        patterns = tuple(held)
        if not patterns:
            return ()
        return tuple(name for name in self.subjects if not any(covers(pattern, name) for pattern in patterns))

    def taken_from(self, held: Iterable[str]) -> tuple[str, ...]:
        """Return the subjects of another stream that are all of this one, and which therefore only one may have."""
        return tuple(one for one in held if any(covers(name, one) for name in self.subjects))


def covers(pattern: str, subject: str) -> bool:
    """Return whether `pattern` matches all that `subject` matches; both may hold the wildcards `*` and `>`."""
    wanted, found = pattern.split("."), subject.split(".")
    for index, token in enumerate(wanted):
        if token == ">":  # noqa: S105 - a wildcard of the bus, no secret
            return len(found) > index
        if index >= len(found) or found[index] == ">" or token not in {"*", found[index]}:
            return False
    return len(wanted) == len(found)


def sighting_stream(site: str) -> Stream:
    """Return the stream that keeps a site's sightings until identity has processed them: at most 1 GiB.

    Events of the matches, which come from sightings, must not displace these; a full stream refuses further ones, which
    wait in the journals of the stream pods.
    """
    return Stream(
        f"VIGIL_{_site(site)}_SIGHTINGS",
        (bus_subjects(site, MessageKind.SIGHTING),),
        max_age_s=0,
        max_bytes=1 << 30,
        work_queue=True,
    )


def event_stream(site: str) -> Stream:
    """Return the stream that keeps a site's matches, alerts and audit: 7 days or 1 GiB."""
    kinds = (MessageKind.MATCH, MessageKind.ALERT, MessageKind.AUDIT)
    return Stream(
        f"VIGIL_{_site(site)}",
        tuple(bus_subjects(site, kind) for kind in kinds),
        max_age_s=7 * 86400,
        max_bytes=1 << 30,
    )


def camera_stream(site: str) -> Stream:
    """Return the stream that keeps the last heartbeat of every camera of a site for a day."""
    return Stream(
        f"VIGIL_{_site(site)}_CAMERAS",
        (bus_subjects(site, MessageKind.CAMERA),),
        max_age_s=86400,
        max_bytes=64 << 20,
        max_msgs_per_subject=1,
    )


def erasure_stream(site: str) -> Stream:
    """Return the stream that keeps, of every erased Subject, that it was erased: longer than backups live.

    It is not in Postgres, so that a restored backup of Postgres does not bring erased people back.
    """
    return Stream(
        f"VIGIL_{_site(site)}_ERASURES",
        (bus_subjects(site, MessageKind.ERASURE),),
        max_age_s=3653 * 86400,
        max_bytes=64 << 20,
        max_msgs_per_subject=1,
    )


def erasure_subject(site: str, subject_id: UUID) -> str:
    """Return the subject of what is kept of one erased Subject."""
    return bus_subjects(site, MessageKind.ERASURE).removesuffix(">") + str(subject_id)


def streams(site: str) -> tuple[Stream, ...]:
    """Return all streams of a site; the first keeps what earlier versions kept in the second."""
    return sighting_stream(site), event_stream(site), erasure_stream(site), camera_stream(site)
