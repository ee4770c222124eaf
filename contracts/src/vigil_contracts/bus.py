"""Names on the bus: subjects, streams and headers. Every program builds and reads them here."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from vigil_contracts.ids import DNS_LABEL, ResourceKey

ROOT = "vigil"
MSG_ID_HEADER = "Nats-Msg-Id"
"""JetStream drops a second message with the same value inside the stream's duplicate window."""

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


class BusSubject(NamedTuple):
    """A subject taken apart: `vigil.<site>.<kind>.<rest>`."""

    site: str
    kind: MessageKind
    camera: ResourceKey | None


def bus_subject(site: str, kind: MessageKind, camera: ResourceKey) -> str:
    """Return the subject of one camera's events of one kind."""
    return f"{ROOT}.{_site(site)}.{kind}.{camera.token}"


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
        In bytes; the oldest messages go first.
    max_msgs_per_subject
        -1 means without limit; 1 keeps the last state only.
    """

    name: str
    subjects: tuple[str, ...]
    max_age_s: int
    max_bytes: int
    max_msgs_per_subject: int = -1
    duplicate_window_s: int = 600

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


def covers(pattern: str, subject: str) -> bool:
    """Return whether `pattern` matches all that `subject` matches; both may hold the wildcards `*` and `>`."""
    wanted, found = pattern.split("."), subject.split(".")
    for index, token in enumerate(wanted):
        if token == ">":  # noqa: S105 - a wildcard of the bus, no secret
            return len(found) > index
        if index >= len(found) or found[index] == ">" or token not in {"*", found[index]}:
            return False
    return len(wanted) == len(found)


def event_stream(site: str) -> Stream:
    """Return the stream that keeps a site's sightings, matches, alerts and audit: 7 days or 1 GiB."""
    kinds = (MessageKind.SIGHTING, MessageKind.MATCH, MessageKind.ALERT, MessageKind.AUDIT)
    names = tuple(f"{ROOT}.{_site(site)}.{kind}.>" for kind in kinds)
    return Stream(f"VIGIL_{site}", names, max_age_s=7 * 86400, max_bytes=1 << 30)


def camera_stream(site: str) -> Stream:
    """Return the stream that keeps the last heartbeat of every camera of a site for a day."""
    return Stream(
        f"VIGIL_{_site(site)}_CAMERAS",
        (bus_subjects(site, MessageKind.CAMERA),),
        max_age_s=86400,
        max_bytes=64 << 20,
        max_msgs_per_subject=1,
    )


def streams(site: str) -> tuple[Stream, Stream]:
    """Return both streams of a site."""
    return event_stream(site), camera_stream(site)
